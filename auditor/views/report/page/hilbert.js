// The Hilbert curve on a square of 2^order cells a side, from the top left corner to the bottom
// left one. Its first half is the upper half of the square, and a block with an odd number of
// bits is drawn as that.

function pointOf(distance, order) {
  let [column, row, rest] = [0, 0, distance];
  for (let side = 1; side < 1 << order; side *= 2) {
    const down = (rest >> 1) & 1;
    const right = (rest ^ down) & 1;
    [column, row] = turned(column, row, side, down, right);
    column += side * right;
    row += side * down;
    rest >>= 2;
  }
  return [column, row];
}

function distanceOf(column, row, order) {
  let distance = 0;
  for (let side = (1 << order) >> 1; side >= 1; side >>= 1) {
    const down = row & side ? 1 : 0;
    const right = column & side ? 1 : 0;
    distance += side * side * ((3 * down) ^ right);
    [column, row] = turned(column & (side - 1), row & (side - 1), side, down, right);
  }
  return distance;
}

// A point of a quarter as the curve runs through it: the left ones are mirrored.
function turned(column, row, side, down, right) {
  if (right) return [column, row];
  return down ? [side - 1 - row, side - 1 - column] : [row, column];
}
