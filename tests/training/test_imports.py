"""What runs does not need what trains."""

import ast
import subprocess
import sys
from pathlib import Path

import triptych

CORE = Path(triptych.__file__).parent
TRAINING = CORE / "training"


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_only_training_names_torch():
    files = [path for path in CORE.rglob("*.py") if not path.is_relative_to(TRAINING)]
    assert len(files) > 10
    for path in files:
        for name in imported(path):
            known = ("torch", "lightning_fabric", "matplotlib", "onnx", "safetensors")
            assert name.partition(".")[0] not in known, path
            assert not name.startswith("triptych.training"), path


def test_what_runs_loads_no_torch():
    files = [path for path in CORE.rglob("*.py") if not path.is_relative_to(TRAINING)]
    parts = [path.relative_to(CORE.parent).with_suffix("").parts for path in files]
    names = [".".join(p).removesuffix(".__init__") for p in parts if p[-1] != "__main__"]
    code = (
        "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *names], capture_output=True, text=True, check=True
    )
    assert not {"torch", "lightning_fabric", "matplotlib", "onnx"} & set(done.stdout.split())
