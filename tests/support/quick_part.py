"""What `pytest -m quick` runs: every room without servers, and the files of others that show most for their time."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
QUICK = (
    *("enriching", "model", "reading", "rejected", "schema_tables", "schemas", "servers", "store", "user_code"),
    *("api/test_events.py", "plugins/test_hooks.py"),
    *("postgres/test_event_line.py", "postgres/test_table_loader.py"),
    "transforms/test_write_postgres.py",
    *("test_architecture.py", "test_errors_page.py", "test_house_rules.py"),
    *("test_install_lines.py", "test_public_names.py"),
)
_PATHS = [TESTS / name for name in QUICK]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m quick` the other files are not even imported."""
    if config.option.markexpr != "quick" or not collection_path.is_relative_to(TESTS):
        return None
    leads_to_one = any(path.is_relative_to(collection_path) for path in _PATHS)
    return None if leads_to_one or any(collection_path.is_relative_to(path) for path in _PATHS) else True


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks them."""
    for item in items:
        if any(item.path.is_relative_to(path) for path in _PATHS):
            item.add_marker(pytest.mark.quick)
