"""Chromium, without a window, for tests of pages.

    with chromium() as browser, visits(browser) as visit:
        opened = visit(path)

Debian's program is driven, not one that playwright brings. If either is not installed the test
is skipped, or failed if `REQUIRE_SERVERS=1`. Playwright keeps an event loop in the
thread that starts it: as long as the browser is there, no other can run in it.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from support.data import installed, missing
from support.reports import curve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request

__all__ = ["MIDDLE", "NARROW", "WIDE", "Opened", "chromium", "near", "visits"]

#: Screens, in pixels.
WIDE: Final = {"width": 1600, "height": 1000}
MIDDLE: Final = {"width": 641, "height": 900}
NARROW: Final = {"width": 400, "height": 800}

_PROGRAM: Final = "chromium"
_READY: Final = "html[data-ready]"
#: How far a colour may be off: canvases round.
_ROUNDING: Final = 2


class Opened:
    """A report in a browser, and what it did beside showing itself."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.path = path
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []

        def dismiss(dialog: Dialog) -> None:
            self.dialogs.append(dialog.message)
            dialog.dismiss()

        def note_message(message: ConsoleMessage) -> None:
            self.complaints.append(message.text)

        def note_request(request: Request) -> None:
            self.requests.append(request.url)

        page.on("dialog", dismiss)
        page.on("console", note_message)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", note_request)

    def said(self) -> str:
        """Return what a screen reader says of the map."""
        return self.page.locator("#spoken").inner_text()

    def title(self) -> str:
        """Return the address that the panel beside the map is about."""
        return self.page.locator("#readout h3").inner_text()

    def column(self, table: str, name: str) -> list[str]:
        """Return the texts of a column, as far as they are shown."""
        return self.page.locator(f'#{table} td[data-name="{name}"]').all_inner_texts()

    def status(self, table: str) -> str:
        """Return what a table says of itself."""
        return self.page.locator(f"#{table} .status").inner_text()

    def point_at(self, column: int, row: int, columns: int) -> None:
        """Move the pointer to the middle of a cell of the map."""
        canvas = self.page.locator("#canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None
        side = box["width"] / columns
        self.page.mouse.move(box["x"] + (column + 0.5) * side, box["y"] + (row + 0.5) * side)

    def colours(self) -> dict[str, list[int]]:
        """Return the colours of the verdicts in the theme of the page."""
        script = """(names) => {
          const probe = document.body.appendChild(document.createElement("i"));
          const colours = names.map((name) => {
            probe.style.color = `var(--${name})`;
            return [name, getComputedStyle(probe).color.match(/\\d+/g).map(Number)];
          });
          probe.remove();
          return Object.fromEntries(colours);
        }"""
        found: dict[str, list[int]] = self.page.evaluate(
            script, ["pass", "warn", "unknown", "fail"]
        )
        return found

    def pixels(
        self, columns: int = 16, cells: Sequence[tuple[int, int]] = curve(4)
    ) -> list[list[int]]:
        """Return the colours of cells of the map, near their top left corners."""
        script = """([columns, cells]) => {
          const canvas = document.getElementById("canvas");
          const side = canvas.width / columns;
          const copy = new OffscreenCanvas(canvas.width, canvas.height);
          const context = copy.getContext("2d", { willReadFrequently: true });
          context.drawImage(canvas, 0, 0);
          const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
          return cells.map((cell) => {
            const [x, y] = cell.map((at) => Math.floor((at + 0.15) * side));
            const start = 4 * (y * canvas.width + x);
            return [...data.slice(start, start + 3)];
          });
        }"""
        found: list[list[int]] = self.page.evaluate(script, [columns, cells])
        return found


def near(a: Sequence[int], b: Sequence[int]) -> bool:
    """Tell whether two colours are the same."""
    return all(abs(x - y) <= _ROUNDING for x, y in zip(a, b, strict=True))


@contextmanager
def visits(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Give a function that opens a report, in a session of its own; `options` are its settings."""
    with ExitStack() as stack:

        def visit(path: Path, *, ready: bool = True, **options: Any) -> Opened:
            settings = {"viewport": WIDE, "reduced_motion": "reduce", **options}
            context = stack.enter_context(browser.new_context(**settings))
            opened = Opened(context.new_page(), path)
            opened.page.goto(path.as_uri())
            if ready:
                opened.page.wait_for_selector(_READY)
            return opened

        yield visit


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser for as long as the context lasts."""
    program = installed(_PROGRAM, _PROGRAM)
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - may not be there
    except ModuleNotFoundError:
        missing("playwright is not installed: pip install playwright")
    # Its sandbox does not work for root, nor in most containers; the pages are our own.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
