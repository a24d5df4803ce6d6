"""Every python block of the documentation runs, top to bottom, each page in its own namespace."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^[ ]*```python[^\n]*\n(.*?)^[ ]*```[ ]*$", re.MULTILINE | re.DOTALL)
PAGES = [
    page
    for page in sorted([*ROOT.glob("README.md"), *ROOT.glob("docs/**/*.md")])
    if "```python" in page.read_text()
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_run(page):
    text = page.read_text()
    blocks = list(FENCE.finditer(text))
    assert len(blocks) == text.count("```python")  # none was missed for its indentation
    namespace = {"__name__": page.stem}
    for block in blocks:
        lines_above = "\n" * text.count("\n", 0, block.start(1))  # so that tracebacks name the line
        exec(compile(lines_above + dedent(block[1]), str(page), "exec"), namespace)
