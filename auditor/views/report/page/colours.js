// What the style sheet makes of the colours in this theme.
function readColours() {
  const probe = document.body.appendChild(document.createElement("span"));
  const read = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found = {
    empty: read("empty"),
    ink: read("mark"),
    warnInk: read("warn-mark"),
    paper: read("panel"),
    text: read("ink"),
  };
  VERDICTS.forEach((verdict, at) => {
    found[at] = read(verdict).match(/[\d.]+/g).slice(0, 3).map(Number);
  });
  probe.remove();
  return found;
}
