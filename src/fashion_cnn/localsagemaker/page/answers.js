// How answers look: the table, the three likeliest, and the maps of what a network looks at. Text goes in as text only.

import { SIZE } from "/demo/occlusion.js";

const HIGHLIGHT = [255, 150, 0];
const NOTHING_LOST = 0.01; // of the probability: less is not worth a colour

export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Fill an element with text, in which what stands in `backticks` is code.
export function write(element, text = "") {
  element.replaceChildren(...text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part)));
}

export const best = (probabilities) => probabilities.indexOf(Math.max(...probabilities));

function paint(canvas, color) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIZE, SIZE);
  for (let at = 0; at < SIZE * SIZE; at++) image.data.set([...color(at), 255], 4 * at);
  context.putImageData(image, 0, 0);
}

export function draw(canvas, pixels) {
  Object.assign(canvas, { width: SIZE, height: SIZE });
  paint(canvas, (at) => [pixels[at], pixels[at], pixels[at]]);
}

// The picture with what a network looks at in colour. `lost`: of the probability, without each pixel.
export function drawMap(canvas, pixels, lost) {
  const most = Math.max(...lost);
  paint(canvas, (at) => {
    const strength = most < NOTHING_LOST ? 0 : Math.max(0, lost[at]) / most;
    const grey = 0.75 * pixels[at];
    return HIGHLIGHT.map((color) => grey + strength * 0.8 * (color - grey));
  });
}

function bar(share) {
  const made = make("span", { className: "bar" });
  made.style.width = `${100 * share}%`;
  return made;
}

// `columns`: name, title and note of each network; `answers`: probabilities by its name.
export function showTable(table, { say, words, percent }, columns, answers, truth) {
  const heading = ({ name, title, note }) =>
    make("th", { scope: "col", className: name }, title, make("span", { className: "quiet note" }, note));
  table.tHead.replaceChildren(make("tr", {}, make("th", { scope: "col" }, say("class")), ...columns.map(heading)));
  const cell = (name, i) => {
    const probabilities = answers.get(name);
    if (!probabilities) return make("td", { className: name });
    const className = i === best(probabilities) ? `${name} top` : probabilities[i] < 0.0005 ? `${name} quiet` : name; // 0.0%
    return make("td", { className }, make("data", { value: probabilities[i] }, percent(probabilities[i])), bar(probabilities[i]));
  };
  const row = (title, i) =>
    make("tr", { className: i === truth ? "truth" : "" }, make("th", { scope: "row" }, title), ...columns.map(({ name }) => cell(name, i)));
  table.tBodies[0].replaceChildren(...words.classes.map(row));
}

export function showTop(list, { words, percent }, name, probabilities) {
  const order = [...(probabilities ?? []).keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, 3);
  const item = (i) =>
    make("li", { className: name }, make("span", {}, words.classes[i]), make("data", { value: probabilities[i] }, percent(probabilities[i])), bar(probabilities[i]));
  list.replaceChildren(...order.map(item));
}

// `lost`: by the network's name.
export function showMaps(element, { say, words, decimal }, columns, answers, lost, pixels) {
  const figure = ({ name, title }) => {
    const canvas = make("canvas", { width: SIZE, height: SIZE, role: "img" });
    const map = lost.get(name);
    if (!map) {
      draw(canvas, pixels);
      canvas.ariaLabel = title;
      return make("figure", { className: name, ariaBusy: "true" }, canvas, make("figcaption", {}, make("b", {}, title), "…"));
    }
    drawMap(canvas, pixels, map);
    const [garment, most] = [words.garments[best(answers.get(name))], Math.max(...map)];
    const text = say(most < NOTHING_LOST ? "nothingLost" : "lost", { garment, points: decimal(100 * most) });
    canvas.ariaLabel = `${title}: ${text}`;
    return make("figure", { className: name }, canvas, make("figcaption", {}, make("b", {}, title), text));
  };
  element.replaceChildren(...columns.filter(({ name }) => answers.has(name)).map(figure));
}
