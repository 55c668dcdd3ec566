// The map of a block: a cell for each address, or for each prefix of `cell` bits, along the
// Hilbert curve, with a grid of prefixes over it. `on.move(cell)` is called with the cell under
// the pointer or the cursor, `on.say` as well if the keyboard moved it.

const ROOM = 8; // pixels of a cell that has room for a mark and a gap
const LOUPE = 16; // cells on a side of the magnified part
const LOUPE_CELL = 22; // pixels of a cell in it
const LARGEST = 768; // pixels of a map
const LEAST_ROOM_USED = 0.85; // a map of whole pixels that fills less is made larger, and scaled

function makeMap(canvas, loupe, on) {
  const atlas = canvas.closest(".atlas");
  const brush = canvas.getContext("2d");
  const base = document.createElement("canvas");
  let block, order, width, height, size, scale, colours, far;
  let cursor = 0;
  let only = null;

  function show(next) {
    block = next;
    const bits = block.cell - block.length;
    order = Math.ceil(bits / 2);
    width = 1 << order;
    height = bits % 2 ? width / 2 : width;
    cursor = Math.max(0, block.verdicts.findIndex((verdict) => verdict !== EMPTY));
    draw();
  }

  function draw() {
    scale = window.devicePixelRatio || 1;
    const room = roomFor(atlas);
    size = Math.max(1, Math.floor((room * scale) / width));
    const fits = width * size >= LEAST_ROOM_USED * room * scale;
    if (!fits) size += 1;
    for (const each of [canvas, base]) [each.width, each.height] = [width * size, height * size];
    const side = fits ? canvas.width / scale : room;
    atlas.style.setProperty("--map", `${side}px`);
    colours = readColours();
    fill(base.getContext("2d"), width, height, size, (x, y) => distanceOf(x, y, order));
    drawGrid(byId("grid"), block, order, side);
    far = size < ROOM * scale;
    // Where cells are enlarged the panel is full, and the totals go below the map.
    atlas.querySelector(far ? ".chart" : ".pane").append(byId("whole"));
    paint();
  }

  // Draw cells; `cellAt` says which cell stands where.
  function fill(context, columns, rows, pixels, cellAt) {
    const gap = pixels >= ROOM ? Math.max(1, Math.round(pixels / 12)) : 0;
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, columns * pixels, rows * pixels);
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const cell = cellAt(column, row);
        const verdict = block.verdicts[cell];
        context.globalAlpha = only === null || only === verdict || verdict === EMPTY ? 1 : 0.15;
        context.fillStyle = shade(verdict, block.shares[cell]);
        context.fillRect(column * pixels, row * pixels, pixels - gap, pixels - gap);
        if (gap) mark(context, verdict, column * pixels, row * pixels, pixels - gap);
      }
    }
    context.globalAlpha = 1;
  }

  // A prefix has the colour of its worst verdict, the stronger the more of it has that.
  function shade(verdict, share) {
    if (verdict === EMPTY) return colours.empty;
    const strong = 0.4 + 0.6 * share;
    const mixed = colours[verdict].map((part, at) => part * strong + colours[0][at] * (1 - strong));
    return `rgb(${mixed.map(Math.round).join(" ")})`;
  }

  // Not by colour alone: a cross for fail, a ring for unknown, a dash for warn.
  function mark(context, verdict, left, top, side) {
    if (verdict === EMPTY || verdict === 0) return;
    const [near, far, middle] = [side * 0.3, side * 0.7, side * 0.5];
    context.save();
    context.translate(left, top);
    context.strokeStyle = verdict === 1 ? colours.warnInk : colours.ink;
    context.lineWidth = Math.max(1, side / 11);
    context.beginPath();
    if (verdict === 3) {
      context.moveTo(near, near);
      context.lineTo(far, far);
      context.moveTo(far, near);
      context.lineTo(near, far);
    } else if (verdict === 2) {
      context.arc(middle, middle, side * 0.2, 0, 2 * Math.PI);
    } else {
      context.moveTo(near, middle);
      context.lineTo(far, middle);
    }
    context.stroke();
    context.restore();
  }

  function paint() {
    const [column, row] = pointOf(cursor, order);
    brush.drawImage(base, 0, 0);
    if (far) {
      const side = LOUPE * size;
      const [left, top] = [column, row].map((at) => Math.floor(at / LOUPE) * side);
      outline(brush, left, top, side, scale);
    }
    outline(brush, column * size, row * size, size, 2 * scale);
    loupe.parentElement.hidden = !far;
    if (far) magnify(column, row);
  }

  function magnify(column, row) {
    const room = Math.min(LOUPE_CELL, Math.floor(loupe.parentElement.clientWidth / LOUPE));
    const pixels = Math.round(room * scale);
    const [left, top] = [column, row].map((at) => Math.floor(at / LOUPE) * LOUPE);
    loupe.width = loupe.height = LOUPE * pixels;
    loupe.style.width = loupe.style.height = `${loupe.width / scale}px`;
    byId("enlarged-prefix").textContent = `${prefixAround(block, cursor, LOUPE)}, enlarged`;
    const context = loupe.getContext("2d");
    fill(context, LOUPE, LOUPE, pixels, (x, y) => distanceOf(left + x, top + y, order));
    outline(context, (column - left) * pixels, (row - top) * pixels, pixels, 2 * scale);
  }

  // Dark on light on whatever is below.
  function outline(context, left, top, side, line) {
    for (const [colour, thick] of [[colours.paper, line + 2 * scale], [colours.text, line]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick;
      context.strokeRect(left, top, side, side);
    }
  }

  function go(cell, aloud) {
    cursor = Math.min(Math.max(cell, 0), block.verdicts.length - 1);
    paint();
    on.move(cursor);
    if (aloud) on.say(cursor);
  }

  function step(right, down) {
    const [column, row] = pointOf(cursor, order);
    const inside = (at, end) => Math.min(Math.max(at, 0), end - 1);
    return distanceOf(inside(column + right, width), inside(row + down, height), order);
  }

  // The next cell with a problem, or where the cursor is.
  function problem(way) {
    for (let cell = cursor + way; cell >= 0 && cell < block.verdicts.length; cell += way) {
      if (block.verdicts[cell] !== EMPTY && block.verdicts[cell] > 0) return cell;
    }
    return cursor;
  }

  canvas.addEventListener("keydown", (event) => {
    const far = event.shiftKey ? LOUPE : 1;
    const moves = {
      ArrowRight: () => step(far, 0),
      ArrowLeft: () => step(-far, 0),
      ArrowDown: () => step(0, far),
      ArrowUp: () => step(0, -far),
      Home: () => 0,
      End: () => block.verdicts.length - 1,
      PageDown: () => problem(1),
      PageUp: () => problem(-1),
    };
    if (!(event.key in moves) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    go(moves[event.key](), true);
  });
  canvas.addEventListener("focus", () => on.say(cursor));
  for (const kind of ["pointermove", "pointerdown"]) {
    canvas.addEventListener(kind, (event) => {
      const box = canvas.getBoundingClientRect();
      const column = Math.floor(((event.clientX - box.left) / box.width) * width);
      const row = Math.floor(((event.clientY - box.top) / box.height) * height);
      if (column < 0 || row < 0 || column >= width || row >= height) return;
      go(distanceOf(column, row, order), false);
    });
  }

  return {
    show,
    draw,
    go,
    highlight(verdict) {
      only = verdict;
      draw();
    },
  };
}

