"""A report on screens and paper, and in the face of hostile names."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import pytest
from support.browser import MIDDLE, NARROW, WIDE, visits
from support.effort import sample
from support.reports import address_record, curve, domain_record, spf_fact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser
    from support.browser import Opened


@pytest.mark.parametrize(
    "viewport", sample([NARROW, MIDDLE, WIDE]), ids=sample(["narrow", "middle", "wide"])
)
def test_the_page_fits_the_screen(
    show: Callable[..., Opened], fleet: Path, report: Callable[..., Path], viewport: dict[str, int]
) -> None:
    label = "x" * 63
    longest = ".".join([label] * 3 + ["y" * 61])
    records = [
        address_record("192.0.2.1", "FORWARD_MISSING", names=[longest], labels={"a": label * 9}),
        domain_record(longest, "SPF_NONE"),
    ]
    for path in (fleet, report("wide-names", records)):
        opened = show(path, viewport=viewport)
        opened.page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        opened.page.locator("#targets").get_by_label("Show").select_option("All")
        overhang = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert opened.page.evaluate(overhang) == 0
        box = opened.page.locator("#canvas").bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= viewport["width"]


def test_the_map_and_the_panel_beside_it_take_the_width_of_the_page(
    show: Callable[..., Opened], fleet: Path, large: tuple[Path, list[str]]
) -> None:
    for path in (fleet, large[0]):
        opened = show(path)
        for width in (1000, 1060, 1600, 400):
            opened.page.set_viewport_size({"width": width, "height": 900})
            # Drawn anew; the rest of the width is the panel's.
            opened.page.wait_for_function(_PARTS_FIT)
            overhang = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert opened.page.evaluate(overhang) == 0
        assert opened.page.locator("#grid span").count() == 16
    prefixes = opened.page.locator("#grid span").all_inner_texts()
    assert len({*prefixes}) == 16


#: The map, a gap of 2 rem and the panel are as wide as all of it, or nearly the map, if the panel
#: is below it.
_PARTS_FIT: Final = """() => {
  const width = (query) => document.querySelector(query).getBoundingClientRect();
  const [all, map, pane, loupe] = [".atlas", ".plane", ".pane", "#loupe"].map(width);
  const below = pane.top >= map.bottom;
  return Math.abs(pane.right - all.right) < 1
    && (below ? map.width > 0.84 * all.width : Math.abs(pane.left - map.right - 32) < 1)
    && loupe.right <= all.right;
}"""


def test_the_theme_follows_the_system_until_it_is_chosen(
    show: Callable[..., Opened], fleet: Path
) -> None:
    opened = show(fleet, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark, dark_cells = opened.page.evaluate(ground), opened.pixels()
    button = opened.page.get_by_role("button", name="Switch between light and dark")
    assert button.inner_text() == "Light"
    button.click()
    assert opened.page.evaluate(ground) != dark
    assert opened.pixels() != dark_cells
    button.click()
    assert opened.page.evaluate(ground) == dark
    assert opened.pixels() == dark_cells


def test_on_paper_the_page_is_light_and_nothing_is_folded(
    show: Callable[..., Opened], fleet: Path
) -> None:
    opened = show(fleet, color_scheme="dark")
    closed = opened.page.locator("details:not([open])")
    folded = closed.count()
    assert folded
    opened.page.emulate_media(media="print")
    opened.page.wait_for_selector("details:not([open])", state="detached")
    assert opened.page.locator("input:visible, select:visible, button.plain:visible").count() == 0
    ink = opened.page.evaluate("getComputedStyle(document.body).color")
    assert ink == "rgb(27, 34, 39)"
    # Only the first rows are on paper, and it says so.
    assert opened.page.locator("#targets .status").is_visible()
    assert opened.page.pdf().startswith(b"%PDF-")
    opened.page.emulate_media(media="screen")
    opened.page.wait_for_selector("details:not([open])", state="attached")
    assert closed.count() == folded


def test_a_print_has_all_findings_and_a_light_map(show: Callable[..., Opened], fleet: Path) -> None:
    light = show(fleet, color_scheme="light").pixels()
    opened = show(fleet, color_scheme="dark")
    dark, closed = opened.pixels(), opened.page.locator("details:not([open])")
    folded = closed.count()
    # No emulation: this is what a browser does when somebody prints.
    opened.page.evaluate("""() => {
      window.addEventListener("afterprint", () => { window.done = true; });
      window.addEventListener("beforeprint", () => {
        window.folded = document.querySelectorAll("details:not([open])").length;
      });
    }""")
    pages = opened.page.pdf().count(b"/Type /Page\n")
    assert opened.page.evaluate("window.folded") == 0
    assert pages > folded / 4  # folded, all of them together take less than one
    opened.page.wait_for_function("window.done")
    assert (closed.count(), opened.pixels()) == (folded, dark)
    opened.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert opened.pixels() == light


def test_without_javascript_all_but_maps_and_tables_is_there(
    show: Callable[..., Opened], fleet: Path
) -> None:
    opened = show(fleet, ready=False, java_script_enabled=False)
    text = opened.page.locator("body").inner_text()
    assert "177 of 383 targets fail." in text
    assert "The address has no PTR record" in text
    assert "Maps and tables need JavaScript" in text
    assert opened.page.locator("#targets").is_hidden()


# --- Hostile names

_ATTACKS: Final = (
    "<script>alert(1)</script>.example.net",
    "</script><script>alert(2)</script>",
    "<img src=x onerror=alert(3)>",
    "'\"><svg/onload=alert(4)>",
    "\u2028alert(5)//{{ 7 * 7 }}${alert(6)}",
    "<!--<script>",
)


def test_what_others_wrote_is_shown_as_they_wrote_it_and_never_run(
    show: Callable[..., Opened], report: Callable[..., Path]
) -> None:
    records = [
        address_record(
            f"192.0.2.{number}",
            "FORWARD_MISSING",
            "PTR_INVALID_NAME",
            names=[attack, f"b{attack}"],
            spf=[spf_fact("mailfrom", attack, "fail", explanation=attack)],
            labels={attack: attack},
        )
        for number, attack in enumerate(_ATTACKS)
    ]
    records += [domain_record(attack, "SPF_NONE") for attack in _ATTACKS]
    for attack in _ATTACKS:
        invalid = address_record(attack, "TARGET_INVALID")
        invalid |= {"kind": "invalid", "ptr": None, "iprev": None, "error": f"f: {attack}"}
        records.append(invalid)
    opened = show(report("<img src=x onerror=alert(7)>", records))
    page = opened.page
    page.locator("#targets").get_by_label("Show").select_option("All")
    for number in range(len(_ATTACKS)):
        opened.point_at(*curve(4)[number], columns=16)
    text = page.locator("body").inner_text()
    for attack in _ATTACKS:
        assert text.count(attack.replace("\u2028", "\\u2028")) > 5, attack
    assert page.locator(".origin").inner_text() == "<img src=x onerror=alert(7)>.ndjson"
    assert page.locator("script").count() == 2
    assert page.locator("img, iframe, object, svg:not(.bar)").count() == 0


def test_the_policy_stops_what_would_get_in_all_the_same(browser: Browser, fleet: Path) -> None:
    with visits(browser) as visit, socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        opened = visit(fleet)
        broken = opened.page.evaluate(
            """(port) => new Promise((done) => {
              const broken = [];
              document.addEventListener("securitypolicyviolation", (event) => {
                broken.push(event.effectiveDirective);
                if (broken.length === 4) done(broken);
              });
              const script = document.createElement("script");
              script.textContent = "window.ran = true";
              const image = document.createElement("img");
              image.src = `http://127.0.0.1:${port}/x.png`;
              const box = document.createElement("p");
              box.innerHTML = "<b onclick='window.ran = true' style='color: red'>x</b>";
              document.body.append(script, image, box);
              box.firstChild.click();
            })""",
            server.getsockname()[1],
        )
        assert sorted(broken) == ["img-src", "script-src-attr", "script-src-elem", "style-src-attr"]
        assert opened.page.evaluate("window.ran") is None
        with pytest.raises(BlockingIOError):
            server.accept()
