"""The edge process: what granian serves."""

import logging.config
import os

from aforo.edge.application import Edge
from aforo.edge.options import Options
from aforo.logs import logging_of

logging.config.dictConfig(
    logging_of(form=os.environ.get("LOG_FORMAT", "json"), level=os.environ.get("LOG_LEVEL", "INFO"))
)
application = Edge(Options.read())
application.start()
