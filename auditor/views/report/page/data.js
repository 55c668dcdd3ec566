// The data of the page as `encode.py` has packed it, and what follows from them.

const VERDICTS = ["pass", "warn", "unknown", "fail"];
const EMPTY = 255;
const IDENTITIES = { helo: "HELO", mailfrom: "MAIL FROM" };

async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return understand(JSON.parse(await new Response(stream).text()));
}

function understand(data) {
  const count = data.shape.length;
  const numbers = new Float64Array(count - data.texts.length);
  let next = 0;
  for (let at = 0; at < data.runs.length; at += 2) {
    for (let step = 0; step < data.runs[at + 1]; step += 1) numbers[next++] = data.runs[at] + step;
  }
  const [labels, notes, changes] = [data.labels, data.notes, data.change].map(
    ([rows, values]) => new Map(rows.map((row, at) => [row, values[at]])),
  );
  const starts = new Map(data.prefixes.map(([, first], row) => [first, row]));
  const names = (row) => (data.names[row] === 0 ? [] : [].concat(data.names[row]));
  return {
    ...data,
    count,
    numbers,
    names,
    target: (row) =>
      row < numbers.length ? dotted(numbers[row]) : data.texts[row - numbers.length],
    verdict: (row) => data.shapes[data.shape[row]][1],
    codesOf: (row) => data.shapes[data.shape[row]][2].map((code) => data.codes[code]),
    kind: (row) => data.shapes[data.shape[row]][0],
    status: (row) => data.shapes[data.shape[row]][3],
    spfOf: (row) =>
      data.shapes[data.shape[row]][5].map(
        ([identity, domain, result]) =>
          `SPF, ${IDENTITIES[identity] || identity} ${domain || names(row)[0] || ""}: ${result}`,
      ),
    label: (row) => data.label_texts[labels.get(row)] || "",
    notesOf: (row) => notes.get(row) || [],
    // The map that an address is on, -1 if it is on none.
    blockOf: (number) =>
      data.blocks.findIndex(
        ([, first, length]) => number >= first && number < first + 2 ** (32 - length),
      ),
    // The row of the prefix that begins at an address.
    prefixRow: (first) => starts.get(first),
    // The change of a target, and its words; "" for none.
    change: (row) => (changes.has(row) ? data.changes[changes.get(row)[0]] : ""),
    changeText: (row) => {
      const [kind, before] = changes.get(row) || [];
      if (kind === undefined) return "";
      if (before === null) return "new";
      const now = data.shapes[data.shape[row]][1];
      return before === now ? data.changes[kind] : `was ${VERDICTS[before]}`;
    },
  };
}

function dotted(number) {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join(".");
}

const byId = (id) => document.getElementById(id);
const sum = (numbers) => numbers.reduce((all, each) => all + each, 0);

function grouped(number) {
  return number.toLocaleString("en-GB");
}

// Elements are made of text only: data of records is never parsed as markup.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (value !== false) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== ""));
  return element;
}

// A bar of parts, each [class, width].
function barOf(parts) {
  const draw = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const bar = draw("svg", {
    class: "bar",
    viewBox: `0 0 ${sum(parts.map(([, width]) => width))} 1`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  let x = 0;
  for (const [look, width] of parts) {
    bar.append(draw("rect", { class: look, x, y: 0, width, height: 1 }));
    x += width;
  }
  return bar;
}

function badge(verdict) {
  return make("span", { class: `verdict ${VERDICTS[verdict]}` }, VERDICTS[verdict]);
}
