"""The map of a report, in a browser: each cell is its address, for pointer and keyboard."""

from __future__ import annotations

import random
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import orjson
import pytest
from support.browser import near
from support.effort import sample
from support.reports import address_record, curve

from auditor.views.report.aggregate import AggregateLimits
from auditor.views.report.page import asset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser
    from support.browser import Opened


@pytest.mark.parametrize("scheme", sample(["light", "dark"]))
def test_every_cell_of_the_map_has_the_colour_of_its_address(
    show: Callable[..., Opened], fleet: Path, folder: Path, scheme: str
) -> None:
    opened = show(fleet, color_scheme=scheme)
    # The cursor stands on the first address.
    opened.page.locator("#canvas").press("End")
    colours, pixels = opened.colours(), opened.pixels()
    lines = (folder / "fleet.ndjson").read_bytes().splitlines()
    verdicts = {record["target"]: record["verdict"] for record in map(orjson.loads, lines)}
    for address, pixel in enumerate(pixels[:255]):
        assert near(pixel, colours[verdicts[f"198.51.100.{address}"]]), address


def test_the_pointer_shows_the_address_its_name_and_its_findings(
    show: Callable[..., Opened], fleet: Path
) -> None:
    opened = show(fleet)
    cells = curve(4)
    opened.point_at(*cells[53], columns=16)
    panel = opened.page.locator("#readout").inner_text()
    assert opened.title() == "198.51.100.53"
    assert "half-a.example.net, half-b.example.net" in panel
    assert "One of several PTR names does not lead back to the address" in panel
    for address in (0, 1, 15, 16, 17, 64, 127, 128, 200, 254, 255):
        opened.point_at(*cells[address], columns=16)
        assert opened.title() == f"198.51.100.{address}"


def test_a_large_prefix_has_a_cell_for_each_address(
    show: Callable[..., Opened], large: tuple[Path, list[str]]
) -> None:
    page, verdicts = large
    assert page.stat().st_size < 5_000_000
    opened = show(page)
    order = len(verdicts).bit_length() // 2
    cells, columns = curve(order), 1 << order
    for number in (0, 1, 255, 256, 1_165, len(verdicts) // 2 - 1, len(verdicts) // 2, -1):
        opened.point_at(*cells[number], columns=columns)
        assert opened.title() == str(IPv4Address("10.20.0.0") + number % len(verdicts))
    opened.page.locator("#canvas").press("Home")
    some = random.Random(3).sample(range(1024, len(verdicts)), 1_000)
    pixels = opened.pixels(columns, [cells[number] for number in some])
    colours = opened.colours()
    for number, pixel in zip(some, pixels, strict=True):
        assert near(pixel, colours[verdicts[number]]), number
    # What is too small to be told apart is drawn large beside it.
    assert opened.page.locator("#loupe").is_visible() == (order == 8)


def test_the_curve_of_the_page_is_hilberts(browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.add_script_tag(content=asset("hilbert.js"))
        for order in range(7):
            points = page.evaluate(
                "(order) => Array.from({ length: 4 ** order }, (_, at) => pointOf(at, order))",
                order,
            )
            assert [tuple(point) for point in points] == list(curve(order))
            distances = page.evaluate(
                "([points, order]) => points.map(([x, y]) => distanceOf(x, y, order))",
                [points, order],
            )
            assert distances == list(range(4**order))


def test_a_block_with_an_odd_number_of_bits_is_twice_as_wide_as_high(
    show: Callable[..., Opened], report: Callable[..., Path]
) -> None:
    records = [address_record(f"192.0.{n >> 8}.{n & 255}") for n in range(2 << 8, 4 << 8)]
    opened = show(report("odd", records))
    box = opened.page.locator("#canvas").bounding_box()
    assert box is not None
    assert box["width"] == 2 * box["height"]
    for number in (0, 255, 256, 511):
        opened.point_at(*curve(5)[number], columns=32)
        assert opened.title() == f"192.0.{2 + (number >> 8)}.{number & 255}"


def test_too_many_targets_share_cells_and_the_page_says_so(
    show: Callable[..., Opened], report: Callable[..., Path]
) -> None:
    records = [address_record(f"192.0.{n}.1", *(["PTR_MISSING"] * (n == 7))) for n in range(16)]
    opened = show(report("many", records, limits=AggregateLimits(rows=10)))
    assert "There are 16 targets, too many to list" in opened.page.locator("#targets").inner_text()
    assert "a /24 in the colour of its worst" in opened.page.locator("#map-help").inner_text()
    opened.point_at(*curve(4)[7], columns=16)
    assert opened.title() == "192.0.7.0/24"
    opened.page.locator("#canvas").press("PageUp")
    assert opened.said() == "192.0.7.0/24: 1 fail, 0 unknown, 0 warn, 0 pass."


def test_the_map_can_be_used_by_keyboard_alone(show: Callable[..., Opened], fleet: Path) -> None:
    opened = show(fleet)
    keyboard = opened.page.keyboard
    for _ in range(30):
        keyboard.press("Tab")
        if opened.page.evaluate("document.activeElement.id") == "canvas":
            break
    cells = curve(4)
    by_cell = {cell: number for number, cell in enumerate(cells)}
    assert opened.page.evaluate("document.activeElement.id") == "canvas"
    column = row = 0
    for key, right, down in (
        ("ArrowRight", 1, 0),
        ("ArrowDown", 0, 1),
        ("ArrowDown", 0, 1),
        ("ArrowLeft", -1, 0),
        ("ArrowUp", 0, -1),
        ("Shift+ArrowRight", 15, 0),
    ):
        keyboard.press(key)
        column, row = column + right, row + down
        expected = f"198.51.100.{by_cell[column, row]}"
        assert opened.said().startswith(f"{expected}: ")
        assert opened.title() == expected
    for key, expected in (
        ("End", "198.51.100.255: fail. no name. The address has no PTR record."),
        ("Home", "198.51.100.0: fail. no name. The address has no PTR record."),
        ("PageDown", "198.51.100.8: fail. no name. The address has no PTR record."),
    ):
        keyboard.press(key)
        assert opened.said() == expected


def test_the_legend_shows_one_verdict_alone(show: Callable[..., Opened], fleet: Path) -> None:
    opened = show(fleet)
    opened.page.locator("#canvas").press("End")
    before = opened.pixels()
    button = opened.page.get_by_role("group", name="Show only").get_by_text("warn")
    button.click()
    after = opened.pixels()
    colours = opened.colours()
    for cell, colour in enumerate(before[:255]):
        assert near(after[cell], colour) == near(colour, colours["warn"]), cell
    button.click()
    assert opened.pixels() == before


def test_another_block_is_one_press_away(show: Callable[..., Opened], fleet: Path) -> None:
    opened = show(fleet)
    opened.page.get_by_role("button", name="203.0.113.0/24").first.press("Enter")
    assert opened.page.locator("#map-title").inner_text() == "The address space: 203.0.113.0/24"
    opened.point_at(*curve(4)[78], columns=16)
    assert opened.title() == "203.0.113.78"
    opened.point_at(*curve(4)[80], columns=16)
    assert opened.page.locator("#readout").inner_text() == "203.0.113.80\n\nNot audited."
