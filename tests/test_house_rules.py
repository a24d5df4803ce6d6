"""Rules of this house that no tool keeps: each test names the modules that break one."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("aforo", "catalog", "metering", "billing", "webhooks")
LONGEST_MODULE = 300  # lines
LONGEST_FUNCTION = 50
SCOPED = {"for_tenant", "create", "bulk_create"}
NOT_OWNED = {"Tenant", "User"}  # by any tenant
NAMES_FOR_NOTHING = re.compile(
    r"(^|_)(utils?|helpers?|common|managers?|handlers?|process|data|info)$"
)


@dataclass(frozen=True)
class Module:
    path: Path
    lines: list[str]
    nodes: list[ast.AST]

    @property
    def name(self) -> str:
        return self.path.parent.name if self.path.name == "__init__.py" else self.path.stem

    @property
    def counts_money(self) -> bool:
        return bool({"money.py", "pricing", "pipeline", "billing"} & {*self.path.parts})

    @property
    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        kinds = ast.FunctionDef | ast.AsyncFunctionDef
        return (node for node in self.nodes if isinstance(node, kinds))

    def places(self, nodes: Iterable[ast.stmt | ast.expr]) -> list[str]:
        return [f"{self.path.relative_to(ROOT)}:{node.end_lineno}" for node in nodes]


def read(path: Path) -> Module:
    source = path.read_text()
    return Module(path, source.splitlines(), list(ast.walk(ast.parse(source))))


MODULES = [
    read(path)
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if "migrations" not in path.parts
]


def test_there_is_something_to_judge():
    assert len(MODULES) > 100
    assert any(module.counts_money for module in MODULES)


def test_a_module_is_one_sitting_long():
    long = {module.path for module in MODULES if len(module.lines) > LONGEST_MODULE}
    assert not long - {ROOT / "billing/exports/verify.py"}  # auditors get it as one file


def test_a_function_is_one_thought_long():
    assert not [
        f"{module.path}: {function.name}"
        for module in MODULES
        for function in module.functions
        if function.end_lineno - function.lineno >= LONGEST_FUNCTION
    ]


def test_no_import_hides_in_a_function():
    """A name that must be imported late belongs further down, or is asked for by name."""
    assert not [
        place
        for module in MODULES
        for function in module.functions
        for place in module.places(
            node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)
        )
    ]


def test_types_are_imported_like_everything_else():
    assert not [m.path for m in MODULES if any("TYPE_CHECKING" in line for line in m.lines)]


def test_nobody_listens_to_signals_of_models():
    """What has to follow a change is called by the service that makes the change."""
    signals = {"django.dispatch", "django.db.models.signals"}
    assert not [
        place
        for module in MODULES
        for place in module.places(
            node
            for node in module.nodes
            if isinstance(node, ast.ImportFrom) and node.module in signals
        )
    ]


def test_a_module_is_named_for_its_noun():
    assert not [module.path for module in MODULES if NAMES_FOR_NOTHING.search(module.name)]


def test_queries_name_their_tenant():
    """`Model.objects` is followed by `for_tenant`, or the line says `# any tenant`."""
    assert not [
        place
        for module in MODULES
        for place in module.places(
            node
            for node in module.nodes
            if isinstance(node, ast.Attribute)
            and is_of_all_tenants(node)
            and "# any tenant" not in module.lines[node.end_lineno - 1]
        )
    ]


def is_of_all_tenants(node: ast.Attribute) -> bool:
    """Whether it is `Model.objects.something` where something does not name a tenant."""
    match node:
        case ast.Attribute(attr=method, value=ast.Attribute(attr="objects", value=model)):
            return method not in SCOPED and ast.unparse(model) not in NOT_OWNED
        case _:
            return False


def test_no_float_comes_near_money():
    assert not [
        place
        for module in MODULES
        if module.counts_money
        for place in module.places(node for node in module.nodes if makes_a_float(node))
    ]


def makes_a_float(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=float()) | ast.Call(func=ast.Name(id="float")):
            return True
        case _:
            return False


def test_what_may_fail_after_a_commit_has_a_name():
    """Django tells of what went wrong by its name; without one, telling goes wrong as well."""
    assert not [
        place
        for module in MODULES
        for place in module.places(node for node in module.nodes if is_nameless_after_commit(node))
    ]


def is_nameless_after_commit(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="on_commit"), args=[ast.Call()], keywords=keywords):
            return any(keyword.arg == "robust" for keyword in keywords)
        case _:
            return False


def test_what_is_slow_says_so():
    """The fast phase passes by its folder, and the slow one by whatever does not say so."""
    files = sorted((ROOT / "tests" / "slow").glob("test_*.py"))
    assert files
    assert not [path.name for path in files if "mark.slow" not in path.read_text()]


def test_no_line_of_the_log_says_what_the_log_says_itself():
    """What is told under such a name is overwritten as the line is written."""
    own = {"event", "level", "logger", "timestamp"}
    assert not [
        place
        for module in MODULES
        for place in module.places(
            node
            for node in module.nodes
            if isinstance(node, ast.Call) and own.intersection(said_to_the_log(node))
        )
    ]


def said_to_the_log(call: ast.Call) -> list[str | None]:
    match call.func:
        case ast.Attribute(value=ast.Name(id="log")):
            return [keyword.arg for keyword in call.keywords]
        case _:
            return []
