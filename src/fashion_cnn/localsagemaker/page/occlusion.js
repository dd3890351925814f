// What a network looks at: a square is blacked out wherever it fits, and the answer without that part is compared.
// Source: Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2; their square is grey, here it has the background's black.

export const SIZE = 28;
const SQUARE = 7;
const STEP = 3;
const STARTS = Array.from({ length: 10 }, (_, i) => STEP * i - 2); // the squares at the border stand half outside
const PLACES = STARTS.flatMap((top) => STARTS.map((left) => pixelsAt(top, left)));

function pixelsAt(top, left) {
  const within = (start) => Array.from({ length: SQUARE }, (_, i) => start + i).filter((at) => at >= 0 && at < SIZE);
  return within(top).flatMap((row) => within(left).map((column) => SIZE * row + column));
}

// The picture, without one square after the other.
export function occluded(pixels) {
  return PLACES.map((place) => {
    const without = Uint8Array.from(pixels);
    for (const at of place) without[at] = 0;
    return without;
  });
}

// How much of the probability `before` is lost without a pixel: the mean over the squares that cover it.
export function losses(before, after) {
  const sums = new Float32Array(SIZE * SIZE);
  const counts = new Float32Array(SIZE * SIZE);
  PLACES.forEach((place, i) => {
    for (const at of place) {
      sums[at] += before - after[i];
      counts[at] += 1;
    }
  });
  return sums.map((sum, at) => sum / counts[at]);
}
