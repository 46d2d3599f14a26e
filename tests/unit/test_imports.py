"""The import direction of the design, and what modules may do while they are imported: read from the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "dashapp"
LAYERS = ("model", "store", "rollup", "query", "ingest", "api", "web", "access")

# What a layer may import of ours: model <- store <- rollup <- query <- {api, web} and model, store <- ingest.
# Everything may import `errors`; `config` is for whoever is handed settings, which the model is not.
MAY_IMPORT = {
    "errors": set(),
    "config": {"errors"},
    "model": {"errors", "model"},
    "store": {"errors", "config", "model", "store"},
    "rollup": {"errors", "config", "model", "store", "rollup"},
    "query": {"errors", "config", "logs", "model", "store", "rollup", "query"},
    "api": {"errors", "config", "logs", "model", "store", "rollup", "query", "api"},
    "web": {"errors", "config", "model", "store", "rollup", "query", "web"},
    "ingest": {"errors", "config", "model", "store", "ingest"},
    # Stands in front of api and web, and answers in the API's form.
    "access": {"errors", "config", "model", "store", "api", "access"},
    "clock": {"model"},
    "logs": set(),
    # The entry points compose. Neither server nor background knows the command line.
    "embedded": {"errors", "config", "clock", *LAYERS},
    "asgi": {"errors", "config", "clock", *LAYERS},
    "commands": {"errors", "config", "clock", "commands", *LAYERS},
    "cli": {"errors", "config", "clock", "logs", "commands", "asgi", "embedded", *LAYERS},
    "__main__": {"cli"},
}

# Where a third-party package may be named: in these modules and those below them, and nowhere else.
HOMES = {
    "deltalake": ("dashapp.store",),
    "duckdb": ("dashapp.store",),
    "obstore": ("dashapp.store",),
    "pyarrow": ("dashapp.store",),
    "dask": ("dashapp.rollup.cluster",),
    "distributed": ("dashapp.rollup.cluster",),
    "dash": ("dashapp.web",),
    "dash_extensions": ("dashapp.web",),
    "plotly": ("dashapp.web",),
    "diskcache": ("dashapp.query",),
    "redis": ("dashapp.query.redis",),
    "flask": ("dashapp.query",),
    "flask_caching": ("dashapp.query",),
    "fastapi": ("dashapp.api", "dashapp.web", "dashapp.access", "dashapp.asgi"),
    "starlette": ("dashapp.api", "dashapp.web", "dashapp.access", "dashapp.asgi"),
    "argon2": ("dashapp.access",),
    "itsdangerous": ("dashapp.access",),
    "uvicorn": ("dashapp.web", "dashapp.cli", "dashapp.embedded"),
    "vaderSentiment": ("dashapp.ingest.scoring",),
    "transformers": ("dashapp.ingest.scoring.torchengine",),
    "torch": ("dashapp.ingest.scoring.torchengine",),
    "onnxruntime": ("dashapp.ingest.scoring.onnxengine",),
    "tokenizers": ("dashapp.ingest.scoring.onnxengine",),
    "huggingface_hub": ("dashapp.ingest.scoring.engine",),
    "httpx": ("dashapp.ingest.sources",),
    "feedparser": ("dashapp.ingest.sources",),
    "rich": ("dashapp.cli", "dashapp.commands"),
    "prometheus_client": ("dashapp.api",),
}

# Every exception to HOMES, with its reason.
EXCEPTIONS = {
    (
        "dashapp.ingest.sources.parquet",
        "pyarrow",
    ): "Parquet is a format users bring; their file is no part of the store",
    (
        "dashapp.ingest.sources.columnar",
        "pyarrow",
    ): "the same file, read column by column",
}

# Who may ask for the time of day besides the clock: what they write down is about the writing, never about the data.
OWN_TIME = {
    "dashapp.store.tables": "an entry of a Delta log carries the time it was written at",
    "dashapp.store.filecache": "a copy is marked with when it was read last",
    "dashapp.store.watermark": "how long ago the file system says a file was touched",
}


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("dashapp", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text("utf-8"))


@cache
def imports(module: str) -> tuple[str, ...]:
    """The dotted names a module imports, at its top and inside functions; of ours, down to the module."""
    names = []
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} line {node.lineno}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                names.append(whole if whole in modules() else str(node.module))
    return tuple(names)


def layer(module: str) -> str:
    return module.split(".")[1]


def within(module: str, home: str) -> bool:
    return module == home or module.startswith(home + ".")


def all_imports() -> Iterator[tuple[str, str]]:
    return ((module, name) for module in modules() for name in imports(module))


def test_every_module_has_a_place_in_the_table() -> None:
    assert {layer(module) for module in modules() if module != "dashapp"} - MAY_IMPORT.keys() == set()


def test_imports_go_one_way() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, name in all_imports()
        if name.startswith("dashapp.") and module != "dashapp" and layer(name) not in MAY_IMPORT[layer(module)]
    ]
    assert wrong == []


def test_the_package_itself_imports_nothing_of_ours() -> None:
    assert [name for name in imports("dashapp") if name.startswith("dashapp")] == []


def test_the_model_and_the_errors_need_the_standard_library_only() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, name in all_imports()
        if module != "dashapp" and layer(module) in {"model", "errors", "config", "clock"}
        if name.split(".")[0] not in {"dashapp", *sys.stdlib_module_names}
    ]
    assert wrong == []


def test_a_third_party_package_is_named_only_where_it_is_at_home() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, name in all_imports()
        if (package := name.split(".")[0]) in HOMES
        and not any(within(module, home) for home in HOMES[package])
        and (module, package) not in EXCEPTIONS
    ]
    assert wrong == []


def test_no_exception_outlives_its_cause() -> None:
    used = {(module, name.split(".")[0]) for module, name in all_imports()}
    assert [pair for pair in EXCEPTIONS if pair not in used] == []


def test_the_model_does_no_input_or_output_and_has_no_clock() -> None:
    outside = {"asyncio", "io", "os", "pathlib", "random", "socket", "subprocess", "tempfile", "threading", "time"}
    wrong = [
        f"{module} imports {name}"
        for module, name in all_imports()
        if module.startswith("dashapp.model") and name.split(".")[0] in outside
    ]
    wrong += [
        f"{module} line {node.lineno} calls {node.func.attr}()"
        for module in modules()
        if module.startswith("dashapp.model")
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in {"now", "utcnow", "today"}
    ]
    assert wrong == []


def test_only_the_clock_asks_for_the_time_of_day() -> None:
    asking = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}
    found = {
        module
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if (node.value.id, node.attr) in asking
    }
    assert found == {"dashapp.clock", *OWN_TIME}


def test_only_the_settings_read_the_environment() -> None:
    found = {
        module
        for module in modules()
        for node in ast.walk(tree(module))
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"})
        or (isinstance(node, ast.alias) and node.name in {"environ", "environb", "getenv"})
    }
    assert found == {"dashapp.config"}


def test_every_module_says_what_it_is() -> None:
    assert [module for module in modules() if tree(module).body and not ast.get_docstring(tree(module))] == []


# Imports every module given, and reports each thing done meanwhile that an import must not do.
_WATCH = """
import importlib, sys, threading
FORBIDDEN = {"socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.mkdir", "os.remove", "sqlite3.connect"}
done = []
def watch(event, arguments):
    written = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if event in FORBIDDEN or written:
        done.append(f"{event} {arguments[0]!r}")
sys.addaudithook(watch)
for module in sys.argv[1:]:
    before = len(done)
    importlib.import_module(module)
    done[before:] = [f"{module}: {what}" for what in done[before:]]
done += [f"thread {thread.name}" for thread in threading.enumerate() if thread is not threading.main_thread()]
print("\\n".join(done))
"""


def test_importing_opens_nothing_writes_nothing_and_starts_nothing(tmp_path: Path) -> None:
    names = [name for name in modules() if name != "dashapp.__main__"]
    finished = subprocess.run(
        [sys.executable, "-B", "-c", _WATCH, *names], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split("\n") == ["", ""]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["connect", "run", "start", "listen", "serve", "DeltaTable"])
def test_no_module_connects_runs_or_starts_anything_at_its_top(verb: str) -> None:
    # What goes on inside compiled code (DuckDB, Delta) is not seen from outside, so the source is asked.
    wrong = [
        f"{module} line {node.lineno} calls {verb}()"
        for module in modules()
        for node in top_calls(tree(module))
        if (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)) == verb
    ]
    assert wrong == []


def top_calls(node: ast.AST) -> Iterator[ast.Call]:
    """The calls that run when a module is imported: all but those inside functions and of the main guard."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "__main__" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from top_calls(child)


def test_a_server_starts_without_what_only_some_settings_need() -> None:
    """Each of these takes a fifth of a second and more to import."""
    late = ("redis", "distributed", "obstore", "onnxruntime", "httpx", "feedparser")
    code = f"import sys, dashapp.asgi, dashapp.web.server; print([name for name in {late} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
