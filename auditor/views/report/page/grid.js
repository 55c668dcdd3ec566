// The grid over a map: lines around prefixes of one length, each with its prefix in the corner.

const LABEL_ROOM = 72; // pixels of a square that has room for a label
const LINE_ROOM = 20; // pixels of a square that has room for lines of its own
const CHARACTER = 6; // pixels of one in a label
const CELL_ROOM = 20; // pixels of a cell that a label leaves alone but for its corner

// How many pixels wide a map may be: beside the panel, if that stands beside it.
function roomFor(atlas) {
  const style = getComputedStyle(atlas);
  const pane = parseFloat(style.getPropertyValue("--pane"));
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const beside = pane ? pane * rem + parseFloat(style.columnGap) : 0;
  return Math.min(LARGEST, atlas.clientWidth - beside);
}

// The prefix of the square of `side` cells that a cell is in.
function prefixAround(block, cell, side) {
  const cells = Math.min(side * side, block.verdicts.length);
  const first = block.first + Math.floor(cell / cells) * cells * 2 ** (32 - block.cell);
  return `${dotted(first)}/${block.cell - Math.log2(cells)}`;
}

function drawGrid(place, block, order, pixels) {
  const across = 1 << order;
  const down = (across * 2 ** (block.cell - block.length)) / 4 ** order;
  const square = (parts) => pixels / parts;
  let parts = 1;
  while (parts < 4 && square(parts * 2) >= LABEL_ROOM && parts * 2 < across) parts *= 2;
  // Finer lines where an octet ends, if they are not the same.
  let fine = parts;
  for (let each = parts; each < across && square(each) >= LINE_ROOM; each *= 2) {
    if ((block.cell - 2 * Math.log2(across / each)) % 8 === 0) fine = each;
  }
  const tile = (count) => `${100 / count}% ${(100 / count) * (across / down)}%`;
  place.style.setProperty("--coarse", tile(parts));
  place.style.setProperty("--fine", tile(fine));
  const side = across / parts;
  const count = parts > 1 ? block.verdicts.length / side ** 2 : 0;
  const cells = Array.from({ length: count }, (_, at) => at * side ** 2);
  const room = square(across) < CELL_ROOM ? square(parts) : square(across);
  const texts = fitting(cells.map((cell) => prefixAround(block, cell, side)), block.length, room);
  const labels = cells.map((cell, at) => {
    const [left, top] = pointOf(cell, order).map((each) => Math.floor(each / side) * side);
    const label = make("span", {}, texts[at]);
    label.style.left = `${(100 * left) / across}%`;
    label.style.top = `${(100 * top) / down}%`;
    return label;
  });
  place.replaceChildren(...labels);
}

// Prefixes as far as there is room for them: whole, without the octets that all of the block have,
// or without their length as well.
function fitting(prefixes, length, pixels) {
  const common = Math.min(Math.floor(length / 8), 3);
  const short = (text) => (common ? `.${text.split(".").slice(common).join(".")}` : text);
  const least = (text) => short(text).replace(/\/.*/, "");
  const fits = (form) => prefixes.every((text) => form(text).length * CHARACTER < pixels);
  return prefixes.map([(text) => text, short].find(fits) || least);
}
