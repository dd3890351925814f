// How answers look: in words, the three likeliest, the table, the maps. Text goes in as text only.

import { losses, SIZE } from "/demo/occlusion.js";

const HIGHLIGHT = [255, 150, 0];
const NOTHING_LOST = 0.01; // of the probability: less is not worth a colour
const SURE = 0.8; // a probability
const HALF = 0.5;
const SHOWN = 0.0005; // less is 0.0%

export const element = (id) => document.getElementById(id);
export const best = (probabilities) => probabilities.indexOf(Math.max(...probabilities));

export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Fill an element with text, in which what stands in `backticks` is code; what it says already is not said again.
export function write(target, text = "") {
  if (target.said === text) return;
  target.said = text;
  target.replaceChildren(...text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part)));
}

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

function bar(share) {
  const made = make("span", { className: "bar" });
  made.style.width = `${100 * share}%`;
  return made;
}

const sentence = (text) => text && text[0].toLocaleUpperCase() + text.slice(1);

// What one network answers, and whether the others (title, probabilities) agree, as `big`, `truth`, `sure`, `agreement`.
export function inWords({ say, words, percent }, probabilities, others, label) {
  const top = best(probabilities);
  const [garment, share] = [words.garments[top], probabilities[top]];
  const differing = others
    .filter((other) => best(other.probabilities) !== top)
    .map(({ title, probabilities: its }) => `${title}: ${words.garments[best(its)]}`);
  return {
    big: sentence(share >= SURE ? garment : say(share >= HALF ? "probably" : "perhaps", { garment })),
    truth: label === undefined ? "" : top === label ? say("right") : say("wrong", { garment: words.garments[label] }),
    sure: say("confidence", { share: percent(share) }),
    agreement: differing.length ? say("differ", { others: differing.join("; ") }) : others.length ? say("agree") : "",
  };
}

export const somethingDone = (picture) => Boolean(picture && (picture.negated || picture.trimmed || picture.mirrored));

// What became of a picture, from what the endpoint says of it.
export function whatWasDone({ say, words, percent }, { picture, asIs, flipped, prediction, other }) {
  const done = [];
  if (asIs) done.push(say("asItCame"));
  else if (somethingDone(picture)) {
    const { background, negated, trimmed, mirrored, size } = picture;
    const ground = [words.backgrounds[background], negated && say("negated")].filter(Boolean).join(", ");
    const cut = trimmed && say("trimmed", { width: trimmed[2] - trimmed[0], height: trimmed[3] - trimmed[1], of: size });
    done.push(`${sentence([ground, cut, say("shrunk"), mirrored && say("wasMirrored")].filter(Boolean).join("; "))}.`);
  } else done.push(say("seenAs"));
  if (flipped) done.push(say("mirroredByHand"));
  else if (other && best(other) !== best(prediction)) {
    done.push(say("otherWay", { garment: words.garments[best(other)], share: percent(Math.max(...other)) }));
  }
  return done.join(" ");
}

// Which network answers, how often it is right, where and since when.
export function byWhom({ say, percent, whole, moment }, { title, test_accuracy: share, endpoint, model, since }, testImages) {
  const accuracy = share === undefined ? "" : say("rightOn", { share: percent(share), images: testImages && whole(testImages) });
  if (!endpoint) return say("by", { network: title, accuracy }) + say("byBrowser");
  const where = say("byEndpoint", { name: endpoint, model, since: moment(since) });
  return say("by", { network: title, accuracy }) + where + (accuracy ? "" : ` ${say("unknownNetwork")}`);
}

// `columns`: name, title and note of each network; `answers`: probabilities by its name.
export function showTable(table, { say, words, percent }, columns, answers, truth) {
  const heading = ({ name, title, note }) =>
    make("th", { scope: "col", className: name }, title, make("span", { className: "quiet note" }, note));
  table.tHead.replaceChildren(make("tr", {}, make("th", { scope: "col" }, say("class")), ...columns.map(heading)));
  const cell = (name, i) => {
    const probabilities = answers.get(name);
    if (!probabilities) return make("td", { className: name });
    const [share, top] = [probabilities[i], i === best(probabilities)];
    const className = `${name} ${top ? "top" : share < SHOWN ? "faint" : ""}`;
    return make("td", { className }, make("data", { value: share }, percent(share)), bar(share));
  };
  const row = (title, i) => {
    const cells = columns.map(({ name }) => cell(name, i));
    return make("tr", { className: i === truth ? "truth" : "" }, make("th", { scope: "row" }, title), ...cells);
  };
  table.tBodies[0].replaceChildren(...words.classes.map(row));
}

export function showTop(list, { words, percent }, name, probabilities = []) {
  const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, 3);
  const item = (i) => {
    const share = make("data", { value: probabilities[i] }, percent(probabilities[i]));
    return make("li", { className: name }, make("span", {}, words.classes[i]), share, bar(probabilities[i]));
  };
  list.replaceChildren(...order.map(item));
}

// What each network looks at; `closer`: its answers to the picture without one part after the other, by its name.
export function showMaps(target, language, columns, answers, closer, pixels) {
  const figure = ({ name, title }) => {
    const canvas = make("canvas", { width: SIZE, height: SIZE, role: "img", ariaLabel: title });
    draw(canvas, pixels);
    const waits = !closer.has(name);
    const text = waits ? "…" : colour(canvas, language, pixels, answers.get(name), closer.get(name));
    if (!waits) canvas.ariaLabel = `${title}: ${text}`;
    const caption = make("figcaption", {}, make("b", {}, title), text);
    return make("figure", { className: name, ariaBusy: String(waits) }, canvas, caption);
  };
  target.replaceChildren(...columns.filter(({ name }) => answers.has(name)).map(figure));
}

// Colour what the answer is lost without, and say how much that is.
function colour(canvas, { say, words, decimal }, pixels, before, after) {
  const top = best(before);
  const lost = losses(before[top], after.map((probabilities) => probabilities[top]));
  const most = Math.max(...lost);
  if (most < NOTHING_LOST) return say("nothingLost", { garment: words.garments[top] });
  paint(canvas, (at) => {
    const grey = 0.75 * pixels[at];
    return HIGHLIGHT.map((part) => grey + ((0.8 * Math.max(0, lost[at])) / most) * (part - grey));
  });
  return say("lost", { garment: words.garments[top], points: decimal(100 * most) });
}
