"""Builds the code in C (`holded_pipeline/compiled`) when pip builds the package.

Where there is no C compiler, or with `HOLDED_PIPELINE_PURE=1`, the wheel is built without it, for every platform, and
Python does the same work. The built modules stand beside their sources, too: an editable installation has no others.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SOURCES = "holded_pipeline/compiled"
_PURE = "HOLDED_PIPELINE_PURE"


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the built modules to a wheel, if they can be built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds a wheel or a source distribution."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        if version == "editable":  # those of an earlier build may be of other sources
            for earlier in [*(root / _SOURCES).glob("*.so"), *(root / _SOURCES).glob("*.pyd")]:
                earlier.unlink()
        if os.environ.get(_PURE, "0") not in ("", "0"):
            return
        self._folder = tempfile.TemporaryDirectory(prefix="holded-pipeline-")  # `finalize` removes it
        try:
            built = compile_modules(root, Path(self._folder.name))
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever it is, the package works without
            self.app.display_warning(
                f"holded-pipeline is installed without its code in C: it does the same, more slowly ({error}). "
                "With a C compiler, such as gcc, and the headers of Python: pip install --force-reinstall --no-deps "
                "and what you named"
            )
            return
        with suppress(OSError):  # whoever runs a script at the top of the clone imports the package from there
            for each in built:
                _replace(root / _SOURCES / each.name, each)
        if version == "editable":
            return
        build_data["force_include"].update({str(each): f"{_SOURCES}/{each.name}" for each in built})
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002  hatchling's
        """Called by hatchling afterwards."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def _replace(target: Path, source: Path) -> None:
    """Puts a copy there at once, since a process may have the earlier file open."""
    beside = target.with_name(f"{target.name}.new")
    shutil.copy(source, beside)
    beside.replace(target)


def compile_modules(root: Path, folder: Path) -> list[Path]:
    """Compiles the modules into a folder; returns their files."""
    from Cython.Build import cythonize  # noqa: PLC0415  only where it is needed
    from setuptools import Distribution, Extension  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    os.chdir(root)  # as for every build; Cython finds what modules import from each other below it
    sources = sorted(Path(_SOURCES).glob("*.pyx"))
    modules = [Extension(".".join(source.with_suffix("").parts), [str(source)]) for source in sources]
    modules = cythonize(modules, build_dir=str(folder / "c"), language_level=3, quiet=True)
    command = build_ext(Distribution({"ext_modules": modules}))
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "objects")
    command.ensure_finalized()
    command.run()
    return [Path(each) for each in command.get_outputs()]
