// The contents of a map cell: in a panel, and in a sentence for screen readers.

const MOST = 5; // findings of a block that are named beside its map

// A block with the verdict of every cell, the share of the cell that has it, and the row of a
// target or of a prefix behind it (-1: none).
function cellsOf(data, [text, first, length, cell]) {
  const count = 2 ** (cell - length);
  const block = {
    text,
    first,
    length,
    cell,
    verdicts: new Uint8Array(count).fill(EMPTY),
    shares: new Float32Array(count).fill(1),
    source: new Int32Array(count).fill(-1),
  };
  if (cell === 32) fillFromTargets(data, block);
  else fillFromPrefixes(data, block);
  return block;
}

function fillFromTargets(data, block) {
  for (let row = 0; row < data.numbers.length; row += 1) {
    const at = data.numbers[row] - block.first;
    if (at < 0 || at >= block.source.length) continue;
    // Of an address that was audited twice, the worse.
    const verdict = data.verdict(row);
    if (block.source[at] >= 0 && block.verdicts[at] >= verdict) continue;
    block.verdicts[at] = verdict;
    block.source[at] = row;
  }
}

function fillFromPrefixes(data, block) {
  data.prefixes.forEach(([, start, counts], row) => {
    const at = start === null ? -1 : (start - block.first) / 2 ** (32 - block.cell);
    if (at < 0 || at >= block.source.length) return;
    const worst = counts.findLastIndex((count) => count > 0);
    block.verdicts[at] = worst;
    block.shares[at] = counts[worst] / sum(counts);
    block.source[at] = row;
  });
}

function nameOf(block, cell) {
  const address = dotted(block.first + cell * 2 ** (32 - block.cell));
  return block.cell === 32 ? address : `${address}/${block.cell}`;
}

function verdictCounts(counts) {
  return [3, 2, 1, 0].map((verdict) => `${counts[verdict]} ${VERDICTS[verdict]}`).join(", ");
}

function spoken(data, block, cell) {
  const row = block.source[cell];
  const name = nameOf(block, cell);
  if (row < 0) return `${name}: not audited.`;
  if (block.cell < 32) {
    return `${name}: ${verdictCounts(data.prefixes[row][2])}.`;
  }
  const names = data.names(row).join(", ") || "no name";
  const titles = data.codesOf(row).map(([, , title]) => ` ${title}.`);
  return `${name}: ${VERDICTS[data.verdict(row)]}. ${names}.${titles.join("")}`;
}

// Fill the panel; `list` shows the targets in a prefix.
function describe(data, block, cell, list) {
  const row = block.source[cell];
  const name = nameOf(block, cell);
  const parts = [make("h3", {}, name)];
  if (row < 0) parts.push(make("p", { class: "note" }, "Not audited."));
  else if (block.cell < 32) parts.push(...aboutPrefix(data, row));
  else parts.push(...aboutTarget(data, row));
  byId("readout").replaceChildren(...parts);
  byId("around").replaceChildren(...(block.length < 24 ? aboutAround(data, block, cell, list) : []));
}

// The /24 of an address: what is in it, as a prefix. Nothing if a cell is no address.
function aboutAround(data, block, cell, list) {
  if (block.cell < 32) return [];
  const first = block.first + Math.floor(cell / 256) * 256;
  const row = data.prefixRow(first);
  if (row === undefined) return [];
  const [text, , counts, codes] = data.prefixes[row];
  const found = codes.map(([code, count]) => [data.codes[code], count]);
  return aboutMany(data, text, counts, found, list);
}

// All of a block, beside its map.
function describeWhole(data, block, counts, list) {
  const found = new Map();
  for (const row of block.cell === 32 ? block.source : []) {
    if (row < 0) continue;
    for (const code of data.codesOf(row)) found.set(code, (found.get(code) || 0) + 1);
  }
  const most = [...found].sort(([, one], [, other]) => other - one).slice(0, MOST);
  byId("whole").replaceChildren(...aboutMany(data, block.text, counts, most, list));
}

// Heading, bar, totals and findings of a prefix, and a button for its targets.
function aboutMany(data, text, counts, codes, list) {
  const button = make("button", { type: "button", class: "plain" }, `List ${text}`);
  button.addEventListener("click", () => list(text));
  const verdicts = [3, 2, 1, 0].filter((at) => counts[at]);
  const totals = verdicts.map((at) => make("span", {}, badge(at), ` ${grouped(counts[at])}`));
  return [
    make("h3", {}, text),
    barOf(verdicts.map((at) => [VERDICTS[at], counts[at]])),
    make("p", { class: "totals" }, ...totals),
    facts(codes.map(([[code, , title], count]) => counted(title, count, code))),
    ...(data.complete ? [make("p", {}, button)] : []),
  ];
}

function counted(title, count, code) {
  const number = make("b", { class: "number" }, grouped(count));
  return [make("span", { title: code }, title), " ", number];
}

function facts(items) {
  return make("ul", { class: "facts" }, ...items.map((item) => make("li", {}, ...[item].flat())));
}

function aboutPrefix(data, row) {
  const [, , counts, codes] = data.prefixes[row];
  const verdicts = [3, 2, 1, 0].filter((at) => counts[at]);
  return [
    facts(verdicts.map((at) => [badge(at), ` ${grouped(counts[at])}`])),
    facts(codes.map(([code, count]) => counted(data.codes[code][2], count, data.codes[code][0]))),
  ];
}

function aboutTarget(data, row) {
  const change = data.changeText(row);
  const names = data.names(row).join(", ") || `No PTR name (${data.status(row)})`;
  const codes = data.codesOf(row).map(([code, , title]) => [`${title} `, make("code", {}, code)]);
  const others = [data.label(row), ...data.notesOf(row)].filter(Boolean);
  return [
    make("p", {}, badge(data.verdict(row)), change && ` (${change})`),
    make("p", { class: "name" }, names),
    facts([...codes, ...data.spfOf(row), ...others]),
  ];
}
