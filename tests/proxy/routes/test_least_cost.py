"""The least-cost table: the longest prefix, then the cheapest."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from twisted_sip.proxy.routes.least_cost import MOST_RATES, LeastCostTable, rates_of, read_rates
from twisted_sip.proxy.routes.ways import Ways

from .conftest import gateways

TABLE = """\
# who takes what
prefix, rate, gateway, from, until

49,0.02,munich
49,0.01,berlin
4930,0.030,munich
+4930,0.005,b2,,2026-12-31
4930,0.001,berlin,2027-01-01,
,0.9,m1
"""


def known(name: str) -> bool:
    return name in ("berlin", "munich", "b1", "b2", "m1")


def at(day: str) -> Any:
    now = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
    rates, faults = rates_of(TABLE, "rates.csv", known)
    assert not faults
    return LeastCostTable(rates, lambda: now)


def found(table: LeastCostTable, number: str) -> list[str]:
    return [f"{rate.prefix}:{rate.gateway}" for rate in table.find(number)]


def test_the_order() -> None:
    table = at("2026-11-21")
    assert len(table) == 6
    assert found(table, "+4930123") == ["4930:b2", "4930:munich", "49:berlin", "49:munich", ":m1"]
    assert found(table, "4989") == ["49:berlin", "49:munich", ":m1"]
    assert found(table, "1") == found(table, "") == [":m1"]
    assert [rate.place for rate in table.find("4989")] == ["rates.csv:5", "rates.csv:4", "rates.csv:9"]


def test_rates_begin_and_end() -> None:
    assert found(at("2026-12-31 23:59"), "4930")[0] == "4930:b2"
    assert found(at("2027-01-01"), "4930") == ["4930:berlin", "4930:munich", "49:berlin", "49:munich", ":m1"]


def test_an_empty_table_leads_nowhere() -> None:
    assert found(LeastCostTable([]), "49") == []


def test_where_calls_go(desk: Any) -> None:
    """Each gateway once; where a group has none left the next rate follows."""
    ways = Ways(gateways(berlin=["b1", "b2"], munich=["m1"]), at("2026-11-21"))
    made = desk({"strip_prefix": "00", "to": ("least-cost", "sip:last@192.0.2.9")}, ways=ways)
    expected = ["b2", "m1", "b1"]
    last = ["sip:last@192.0.2.9"]
    assert made.ask("sip:004930123@example.com") == [f"sip:4930123@{name}.example.net" for name in expected] + last
    assert made.incoming.notes[1] == ("least-cost", "4930 at 0.005: b2", "rates.csv:7")
    ways.gateways.enable("b2", False)
    ways.gateways.enable("m1", False)
    assert made.ask("sip:004930123@example.com") == ["sip:4930123@b1.example.net", *last]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "1: is empty, begin with the line prefix,rate,gateway"),
        ("prefix,rate\n", "1: column gateway is missing, begin with the line prefix,rate,gateway"),
        ("prefix,rate,gateway,x\n", '1: unknown column "x", write prefix, rate, gateway, from, until'),
        ("prefix,rate,gateway,rate\n", "1: column rate stands twice, write it once"),
        ("{head}49,,berlin\n", "2: rate is missing, write it"),
        ("{head}49,1\n", "2: gateway is missing, write it"),
        ("{head}4x,1,berlin\n", '2: prefix "4x" is no prefix, write digits, or nothing for all numbers'),
        ("{head}49,x,berlin\n", '2: rate "x" is no rate, write a number like 0.012'),
        ("{head}49,nan,berlin\n", '2: rate "nan" is no rate, write a number like 0.012'),
        ("{head}49,-1,berlin\n", '2: rate "-1" is no rate, write a number like 0.012'),
        ("{head}49,1_0,berlin\n", '2: rate "1_0" is no rate, write a number like 0.012'),
        (
            "prefix,rate,gateway\n\n49,1,berlin,,2027-01-01\n",
            '3: "2027-01-01" stands in no column, name all columns in the first line',
        ),
        ("{head}49,1,paris\n", '2: gateway "paris" is unknown, write a group or the name of a [[gateway]]'),
        ("{head}49,1,berlin,31.1.26\n", '2: from "31.1.26" is no day, write it like 2026-01-31'),
        (
            "{head}49,1,berlin,2026-02-01,2026-01-01\n",
            "2: until 2026-01-01 is before from 2026-02-01, write a later day",
        ),
    ],
)
def test_faults(text: str, fault: str) -> None:
    head = "prefix,rate,gateway,from,until\n"
    assert rates_of(text.replace("{head}", head), "r.csv", known) == ([], [f"r.csv:{fault}"])


def test_several_faults_and_good_lines() -> None:
    rates, faults = rates_of("prefix;rate;gateway\n49;1;berlin\nx;1;berlin\n48;y;berlin\n", "r.csv", known)
    assert rates_of("prefix,rate,gateway\n49,1,berlin,,\n", "r.csv", known)[0], "nothing stands there"
    assert len(rates) == 1 and [fault.partition(": ")[0] for fault in faults] == ["r.csv:3", "r.csv:4"]
    _, faults = rates_of("prefix,rate,gateway\n" + "x,1,berlin\n" * 60, "r.csv", known)
    assert len(faults) == 51 and faults[-1] == "r.csv: and 10 more lines are wrong"
    _, faults = rates_of('prefix,rate,gateway\n49,1,"' + "x" * 200_000 + '"\n', "r.csv", known)
    assert len(faults) == 1 and faults[0].endswith("correct the CSV there")


def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_RATES >= 1_000_000
    monkeypatch.setattr("twisted_sip.proxy.routes.least_cost.MOST_RATES", 2)
    _, faults = rates_of("prefix,rate,gateway\n" + "1,1,b1\n" * 3, "r.csv", known)
    assert faults == ["r.csv: has more than 2 rates, leave some out"]


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    assert read_rates(path, known)[1][0].startswith(f"{path}: cannot be read (no such file")
    path.write_bytes(b"\xff")
    assert read_rates(path, known)[1] == [f"{path}: is not UTF-8, save the file as UTF-8"]
    path.write_text("\ufeffprefix,rate,gateway\n49,1,berlin\n", encoding="utf-8")
    rates, faults = read_rates(path, known)
    assert not faults and rates[0].place == f"{path}:2"
