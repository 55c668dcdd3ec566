// The tables of the page.

// Styles of SPF results; the others have none.
const LOOKS = {
  pass: "pass",
  softfail: "warn",
  fail: "fail",
  permerror: "fail",
  temperror: "unknown",
};

function makeTables(data, locate) {
  if (byId("prefixes")) prefixesTable(data, locate);
  if (byId("domains")) domainsTable(data);
  if (byId("naming")) namingTable(data);
  if (byId("spf")) spfTable(data);
  const targets = targetsTable(data, locate);
  if (byId("labels")) labelsTable(data, targets.find);
  return { targets };
}

function percent(part, whole) {
  return part ? `${((100 * part) / whole).toFixed(part === whole ? 0 : 1)} %` : "";
}

// Columns: of a text, of a number, of a share.
function texts(name, key, more = {}) {
  return { name, key, cell: key, ...more };
}

function numbers(name, key, more = {}) {
  return { name, key, number: true, cell: (row) => (key(row) ? grouped(key(row)) : ""), ...more };
}

function shares(name, part, whole, more = {}) {
  const key = (row) => part(row) / whole(row);
  return { name, key, number: true, cell: (row) => percent(part(row), whole(row)), ...more };
}

function codeTag([code, severity, title]) {
  // Where there is no room, it is broken after its underscores.
  const words = code.split(/(?<=_)/).flatMap((word) => [word, make("wbr")]);
  return make("span", { class: `code ${severity}`, title }, ...words.slice(0, -1));
}

// An address or a prefix, which leads to the map if it is on one.
function mapLink(data, text, number, locate) {
  if (number === null || data.blockOf(number) < 0) return text;
  const button = make("button", { type: "button", class: "link", title: "Show on the map" }, text);
  button.addEventListener("click", () => locate(number));
  return button;
}

function targetsTable(data, locate) {
  const codes = (row) => data.codesOf(row).map(([code]) => code).join(" ");
  const names = (row) => data.names(row).join(" ");
  const others = (row) => [data.label(row), ...data.notesOf(row)].filter(Boolean);
  const isAddress = (row) => row < data.numbers.length;
  const columns = [
    {
      name: "Target",
      key: (row) => row,
      long: true,
      cell: (row) =>
        mapLink(data, data.target(row), isAddress(row) ? data.numbers[row] : null, locate),
    },
    { name: "Verdict", key: (row) => -data.verdict(row), cell: (row) => badge(data.verdict(row)) },
    { name: "Findings", key: codes, cell: (row) => data.codesOf(row).map(codeTag) },
    {
      name: "Name",
      key: names,
      long: true,
      cell: (row) => [
        ...data.names(row).map((name) => make("div", {}, name)),
        ...others(row).map((text) => make("div", { class: "aside" }, text)),
      ],
    },
  ];
  const filters = { "With a problem": (row) => data.verdict(row) > 0 };
  for (const verdict of [3, 2, 1, 0]) {
    filters[`Only ${VERDICTS[verdict]}`] = (row) => data.verdict(row) === verdict;
  }
  if (data.compared) {
    columns.splice(2, 0, texts("Change", data.changeText));
    filters["Got worse"] = (row) => data.change(row) === "worse";
    filters.Changed = (row) => data.change(row) !== "";
  }
  if (data.shapes.some(([kind]) => kind === "domain")) {
    filters["Only domains"] = (row) => data.kind(row) === "domain";
  }
  filters.All = () => true;
  // A code is that finding, a prefix the addresses in it.
  const meaning = (word) => {
    const code = data.codes.findIndex(([known]) => known.toLowerCase() === word);
    if (code >= 0) return (row) => data.codesOf(row).includes(data.codes[code]);
    const prefix = word.match(/^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/);
    if (!prefix) return null;
    const [a, b, c, d, length] = prefix.slice(1).map(Number);
    const [first, size] = [((a * 256 + b) * 256 + c) * 256 + d, 2 ** (32 - length)];
    return (row) => isAddress(row) && Math.floor(data.numbers[row] / size) * size === first;
  };
  const text = (row) =>
    [data.target(row), VERDICTS[data.verdict(row)], codes(row), names(row), ...others(row)];
  return makeTable({
    place: byId("targets"),
    count: data.count,
    columns,
    filters,
    order: [1, 1],
    meaning,
    text: (row) => text(row).join(" "),
  });
}

function prefixesTable(data, locate) {
  const counts = (row) => data.prefixes[row][2];
  const total = (row) => sum(counts(row));
  const failing = (row) => counts(row)[3];
  const most = (row) => data.prefixes[row][3].map(([code]) => data.codes[code]);
  const columns = [
    {
      name: "Prefix",
      key: (row) => row,
      cell: (row) => mapLink(data, data.prefixes[row][0], data.prefixes[row][1], locate),
    },
    numbers("Targets", total),
    numbers("Fail", failing),
    shares("Share", failing, total),
    numbers("Unknown", (row) => counts(row)[2], { wide: true }),
    numbers("Warn", (row) => counts(row)[1], { wide: true }),
    numbers("Pass", (row) => counts(row)[0], { wide: true }),
    {
      name: "Most often",
      key: (row) => most(row).map(([code]) => code).join(" "),
      cell: (row) => most(row).map(codeTag),
    },
  ];
  if (data.compared) {
    const change = (row) => failing(row) - data.prefixes[row][4];
    const sign = (row) => (change(row) > 0 ? "+" : "−");
    const cell = (row) => (change(row) ? `${sign(row)}${grouped(Math.abs(change(row)))}` : "");
    columns.splice(3, 0, { name: "Change", number: true, key: change, cell });
  }
  makeTable({
    place: byId("prefixes"),
    count: data.prefixes.length,
    columns,
    filters: {},
    order: [2, -1],
    text: (row) => data.prefixes[row][0],
  });
}

function domainsTable(data) {
  const at = (number) => (row) => data.domains[row][number];
  makeTable({
    place: byId("domains"),
    count: data.domains.length,
    columns: [
      texts("Domain", at(0), { long: true }),
      numbers("Addresses", at(1)),
      numbers("Confirmed", at(2)),
      numbers("Fail", at(3)),
      shares("Share", at(3), at(1)),
      numbers("Generic", at(4), { wide: true }),
    ],
    filters: {},
    order: [3, -1],
    text: at(0),
  });
}

function namingTable(data) {
  const at = (number) => (row) => data.naming[row][number];
  makeTable({
    place: byId("naming"),
    count: data.naming.length,
    columns: [
      texts("Template", at(0), { long: true }),
      texts("Domain", at(1), { wide: true }),
      numbers("Names", at(2)),
      numbers("Of", at(3)),
      shares("Share", at(2), at(3)),
      texts("In", at(4), { long: true }),
    ],
    filters: {},
    order: [2, -1],
    text: (row) => [at(0)(row), at(4)(row)].join(" "),
  });
}

// Targets by label; a value leads to those that have it.
function labelsTable(data, find) {
  const at = (number) => (row) => data.by_label[row][number];
  const counts = at(2);
  const total = (row) => sum(counts(row));
  const failing = (row) => counts(row)[3];
  const most = (row) => at(3)(row).map(([code]) => data.codes[code]);
  const value = (row) => {
    if (!data.complete || at(1)(row) === data.others) return at(1)(row);
    const button = make("button", { type: "button", class: "link" }, at(1)(row));
    button.addEventListener("click", () => find(`${at(0)(row)}: ${at(1)(row)}`));
    return button;
  };
  makeTable({
    place: byId("labels"),
    count: data.by_label.length,
    columns: [
      { name: "Value", key: at(1), long: true, cell: value },
      texts("Label", at(0)),
      numbers("Targets", total),
      numbers("Fail", failing),
      shares("Share", failing, total),
      numbers("Unknown", (row) => counts(row)[2], { wide: true }),
      numbers("Warn", (row) => counts(row)[1], { wide: true }),
      numbers("Pass", (row) => counts(row)[0], { wide: true }),
      {
        name: "Most often",
        key: (row) => most(row).map(([code]) => code).join(" "),
        cell: (row) => most(row).map(codeTag),
      },
    ],
    filters: {},
    order: [3, -1],
    text: (row) => `${at(0)(row)} ${at(1)(row)}`,
  });
}

function spfTable(data) {
  const at = (number) => (row) => data.spf[row][number];
  const counts = at(4);
  const block = (row) => (at(0)(row) < 0 ? data.elsewhere : data.blocks[at(0)(row)][0]);
  const identity = (row) => IDENTITIES[at(1)(row)] || at(1)(row);
  const results = (row) =>
    data.results
      .map((result, number) => [result, counts(row)[number]])
      .filter(([, number]) => number)
      .map(([result, number]) => `${result} ${grouped(number)}`)
      .join(", ");
  makeTable({
    place: byId("spf"),
    count: data.spf.length,
    columns: [
      texts("Domain", at(2), { long: true }),
      texts("Identity", identity),
      texts("Block", block),
      numbers("Authorises", (row) => counts(row)[0]),
      shares("Share", (row) => counts(row)[0], at(3)),
      { name: "Results", key: results, cell: (row) => [meter(data, counts(row)), results(row)] },
    ],
    filters: {},
    order: [3, -1],
    text: (row) => [at(2)(row), identity(row), block(row), results(row)].join(" "),
  });
}

// The results of a policy for the audited addresses, as a bar.
function meter(data, counts) {
  return barOf(counts.map((count, at) => [LOOKS[data.results[at]] || "empty", count]));
}
