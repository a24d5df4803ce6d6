.DEFAULT_GOAL := help
.PHONY: help demo run test slow check fmt docs lock setup

help:  ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo:  ## real traffic becomes proven invoices
	python3 dev.py demo

run:  ## the product, until Ctrl-C
	python3 dev.py up

test:  ## the fast tests
	python3 dev.py test

slow:  ## the slow ones: kills, broker drops, whole stacks
	python3 dev.py test -m slow

check:  ## format, lint, types, layers, migrations, documents
	python3 dev.py check

fmt:  ## format and repair what can be repaired
	python3 dev.py fmt

docs:  ## write docs/openapi.yaml anew
	python3 dev.py docs

lock:  ## choose the versions of all packages anew
	python3 dev.py lock

setup:  ## only make .venv
	python3 dev.py setup
