"""The web process: one WSGI application for granian."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aforo.settings")
application = get_wsgi_application()
