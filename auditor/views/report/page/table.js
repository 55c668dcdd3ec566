// A table with search, a filter, sorting and pages. `spec` has
//   place      the element it goes into, with a heading that names it
//   count      how many rows there are; rows are numbers below it
//   columns    {name, cell(row) -> nodes or text, key(row) -> what to sort by, number: whether it
//              is one, long: whether it may be, wide: whether it takes a wide screen}
//   text(row)  what is searched
//   meaning(word)  what a word to search for means: row -> whether it has that, or null if it is
//              a piece of text; may be missing
//   filters    {name: row -> whether it stays}, the first one in force at the start; may be empty
//   order      [column, 1 or -1] at the start

const PAGE = 25;

function makeTable(spec) {
  const state = { wanted: [], filter: Object.keys(spec.filters)[0], order: spec.order, page: 0 };
  const texts = new Array(spec.count);
  const keys = new Map();
  let found = [];

  const title = spec.place.querySelector("h2").id;
  const search = make("input", { type: "search", "aria-label": "Search", placeholder: "Search" });
  const filter = make("select", { "aria-label": "Show", hidden: !state.filter });
  filter.append(...Object.keys(spec.filters).map((name) => make("option", {}, name)));
  const status = make("p", { class: "status", role: "status" });
  const body = make("tbody", { role: "rowgroup" });
  const heads = spec.columns.map(head);
  const back = make("button", { type: "button", class: "plain" }, "Previous");
  const on = make("button", { type: "button", class: "plain" }, "Next");
  spec.place.append(
    make("div", { class: "tools" }, search, filter, status),
    // On narrow screens rows are laid out as cards; roles keep them rows to a screen reader.
    make(
      "table",
      { role: "table", "aria-labelledby": title },
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)),
      body,
    ),
    make("div", { class: "pager" }, back, on),
  );

  function head(column, number) {
    const button = make("button", { type: "button" }, column.name);
    button.addEventListener("click", () => {
      const [current, way] = state.order;
      const first = column.number ? -1 : 1;
      state.order = [number, current === number ? -way : first];
      arrange();
    });
    return make("th", { scope: "col", role: "columnheader", class: kind(column) }, button);
  }

  function kind(column) {
    return ["number", "long", "wide"].filter((name) => column[name]).join(" ");
  }

  function cell(column, row) {
    const attributes = { role: "cell", class: kind(column), "data-name": column.name };
    return make("td", attributes, ...[column.cell(row)].flat());
  }

  function matches(row) {
    if (state.filter && !spec.filters[state.filter](row)) return false;
    return state.wanted.every((has) => has(row));
  }

  function look() {
    state.wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean).map(meaning);
    arrange();
  }

  function meaning(word) {
    return (spec.meaning && spec.meaning(word)) || ((row) => textOf(row).includes(word));
  }

  function textOf(row) {
    texts[row] ??= spec.text(row).toLowerCase();
    return texts[row];
  }

  function sortKeys(number) {
    if (!keys.has(number)) {
      const { key } = spec.columns[number];
      keys.set(number, Array.from({ length: spec.count }, (_, row) => key(row)));
    }
    return keys.get(number);
  }

  function arrange() {
    const [number, way] = state.order;
    const by = sortKeys(number);
    found = [];
    for (let row = 0; row < spec.count; row += 1) if (matches(row)) found.push(row);
    found.sort((a, b) => (by[a] < by[b] ? -way : by[a] > by[b] ? way : a - b));
    heads.forEach((each, at) => {
      const sorted = way > 0 ? "ascending" : "descending";
      if (at === number) each.setAttribute("aria-sort", sorted);
      else each.removeAttribute("aria-sort");
    });
    state.page = 0;
    show();
  }

  function show() {
    const first = state.page * PAGE;
    const rows = found.slice(first, first + PAGE);
    body.replaceChildren(
      ...rows.map((row) =>
        make("tr", { role: "row" }, ...spec.columns.map((column) => cell(column, row))),
      ),
    );
    const range = `${grouped(first + 1)} to ${grouped(first + rows.length)}`;
    const all = `${range} of ${grouped(found.length)}`;
    status.textContent = found.length ? all : "Nothing found";
    back.disabled = state.page === 0;
    on.disabled = first + PAGE >= found.length;
    back.parentElement.hidden = found.length <= PAGE;
  }

  function turn(by) {
    state.page += by;
    show();
  }

  search.addEventListener("input", look);
  filter.addEventListener("change", () => {
    state.filter = filter.value;
    arrange();
  });
  back.addEventListener("click", () => turn(-1));
  on.addEventListener("click", () => turn(1));
  spec.place.hidden = false;
  arrange();

  return {
    // Search for a text in all rows, and go there.
    find(text) {
      search.value = text;
      if (state.filter) state.filter = filter.value = Object.keys(spec.filters).at(-1);
      look();
      spec.place.scrollIntoView();
      search.focus({ preventScroll: true });
    },
  };
}
