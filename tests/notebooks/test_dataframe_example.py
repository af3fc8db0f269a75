"""The example of Beam's DataFrames, which needs a pandas."""

from __future__ import annotations

from example_programs import name_servers, run_program


def test_its_totals_are_those_of_the_sample_in_a_second_run_too(monkeypatch, capsys, lake, db):
    servers = name_servers(monkeypatch, lake, db)
    for _ in range(2):
        code, printed, last = run_program(monkeypatch, capsys, "dataframe_totals", *servers)
        assert code == 0, printed + last
        assert printed.count("day=") == 6
        assert "company_id=company-1  day=2026-01-10  sales=2  amount=12.00" in printed
        assert "2026-01.jsonl:12  validate: schema_violation" in printed
