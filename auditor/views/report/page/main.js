// The page put together: theme, map, tables.

function wireTheme(redraw) {
  const root = document.documentElement;
  const button = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    redraw();
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  system.addEventListener("change", label);
  label();
}

// For printing: the light theme, and folded parts opened.
function wirePrinting(redraw) {
  let opened = [];
  const turn = (printing) => {
    // Both of the signals below may come; what is open by then was folded before.
    if (printing) opened.push(...document.querySelectorAll("details:not([open])"));
    opened.forEach((each) => each.toggleAttribute("open", printing));
    if (!printing) opened = [];
    // The first signal comes before the style sheet knows of paper; the map is drawn for it.
    document.documentElement.toggleAttribute("data-printing", printing);
    redraw();
  };
  window.addEventListener("beforeprint", () => turn(true));
  window.addEventListener("afterprint", () => turn(false));
  matchMedia("print").addEventListener("change", (event) => turn(event.matches));
}

function wireMap(data, list) {
  let block;
  const map = makeMap(byId("canvas"), byId("loupe"), {
    move: (cell) => describe(data, block, cell, list),
    say: (cell) => (byId("spoken").textContent = spoken(data, block, cell)),
  });
  const buttons = data.blocks.map(([text, , , , counts], at) => {
    const total = sum(counts);
    const some = `${grouped(total)} target${total === 1 ? "" : "s"}`;
    const state = counts[3] ? `${grouped(counts[3])} of ${grouped(total)} fail` : some;
    const words = [make("b", {}, text), make("small", {}, state)];
    const button = make("button", { type: "button" }, ...words);
    button.addEventListener("click", () => choose(at));
    return button;
  });

  function choose(at) {
    block = cellsOf(data, data.blocks[at]);
    buttons.forEach((each, number) => each.setAttribute("aria-pressed", number === at));
    byId("map-title").textContent = `The address space: ${block.text}`;
    const worst = `a /${block.cell} in the colour of its worst verdict, paler where that is rare`;
    byId("cell-size").textContent = block.cell === 32 ? "one address" : worst;
    const counts = verdictCounts(data.blocks[at][4]);
    byId("canvas").setAttribute("aria-label", `Map of ${block.text}: ${counts}`);
    map.show(block);
    describeWhole(data, block, data.blocks[at][4], list);
    map.go(block.source.findIndex((row) => row >= 0), false);
  }

  byId("blocks").append(...buttons);
  byId("blocks").hidden = buttons.length < 2;
  byId("map").hidden = false;
  wireLegend(map);
  const sizes = data.blocks.map(([, , , , counts]) => sum(counts));
  choose(sizes.indexOf(Math.max(...sizes)));
  new ResizeObserver(() => map.draw()).observe(byId("canvas").closest(".atlas"));
  return {
    draw: map.draw,
    // Go to an address that is on a map.
    locate(number) {
      choose(data.blockOf(number));
      map.go(Math.floor((number - block.first) / 2 ** (32 - block.cell)), true);
      byId("map").scrollIntoView();
      byId("canvas").focus({ preventScroll: true });
    },
  };
}

// The legend: a press on a verdict shows it alone, another one all.
function wireLegend(map) {
  const buttons = [3, 2, 1, 0].map((verdict) => {
    const attributes = { type: "button", "aria-pressed": "false" };
    const button = make("button", attributes, badge(verdict));
    button.addEventListener("click", () => {
      const chosen = button.getAttribute("aria-pressed") === "false";
      buttons.forEach((each) => each.setAttribute("aria-pressed", chosen && each === button));
      map.highlight(chosen ? verdict : null);
    });
    return button;
  });
  byId("legend").append(...buttons, make("span", { class: "verdict empty" }, "not audited"));
}

async function start() {
  const data = await unpack(byId("data").textContent);
  let map = null;
  const redraw = () => map && map.draw();
  wireTheme(redraw);
  wirePrinting(redraw);
  if (data.count) {
    const { targets } = makeTables(data, (number) => map.locate(number));
    if (data.blocks.length) map = wireMap(data, targets.find);
    document.querySelectorAll("button[data-code]").forEach((button) => {
      button.hidden = false;
      button.addEventListener("click", () => targets.find(button.dataset.code));
    });
  }
  document.documentElement.dataset.ready = "";
}

start().catch((error) => {
  byId("trouble").hidden = false;
  byId("trouble").textContent =
    "Maps and tables cannot be shown: the browser is too old, or the file is damaged " +
    `(${error.message}).`;
});
