// The demo page: what it knows, whom it asks and when. answers.js shows answers, pictures.js brings pictures, words.js speaks.

import { best, draw, make, showMaps, showTable, showTop, write } from "/demo/answers.js";
import { losses, occluded, SIZE } from "/demo/occlusion.js";
import { drawable, fitting, mirrored, receive, thumbnail } from "/demo/pictures.js";
import { LANGUAGES, preferred, speaker } from "/demo/words.js";

const SERVING = ["InService", "Updating", "SystemUpdating"];
const DEPLOYED = "candidate";
const ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes";
const REFRESH_MILLISECONDS = 4000;
const BLANK = new Uint8Array(SIZE * SIZE);
const ALIKE = 1e-4; // of a probability: that much may one network's answers differ from place to place

const element = (id) => document.getElementById(id);
const worker = new Worker("/demo/network.js", { type: "module" });
let language = speaker(preferred());
let classes = []; // the names that the endpoint uses
let maxBytes = Infinity; // of a request
let endpoints = [];
let arms = []; // the study's networks, which this browser computes
let testImages; // how many their accuracy was measured on
let loaded; // the version of the study's bundle that was brought
let served; // the endpoint that answered last, to say so when it is gone
let unreachable = false; // the embedded SageMaker
let shown = null; // the picture: name(), pixels, and label, file, picture, other, strokes where it has them
let question = 0; // its number: late answers to an earlier one are dropped
let waiting = new Set(); // the networks that have not answered it yet
let status = "loading"; // said in place of an answer
let looking = false; // whether the person wants to see what the networks look at
const answers = new Map(); // probabilities by network
const lost = new Map(); // what each network looks at

const megabytes = (bytes) => bytes / 1024 ** 2;
const serving = () => endpoints.filter((endpoint) => SERVING.includes(endpoint.status));
const chosen = () => serving().find(({ name }) => name === element("endpoint").value) ?? serving()[0];

class Refusal extends Error {
  // code: the server's name of it; ofModel: the status that the model server answered.
  constructor(message, { code, ofModel } = {}) {
    super(message);
    Object.assign(this, { code, ofModel });
  }
}

// The body of an answer, or a Refusal with the message that the server gave.
async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refusal(language.say("noServer"), { code: "NoServer" });
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  if (said.__type === "NoStore") throw new Refusal(language.say("noStore"), { code: "NoStore" });
  throw new Refusal(language.say("said", { message: modelsWords(said) ?? said.message ?? `${path}: ${response.status}` }), {
    code: said.__type,
    ofModel: said.OriginalStatusCode,
  });
}

// What the model server itself said, within InvokeEndpoint's error.
function modelsWords({ OriginalMessage: text }) {
  try {
    return JSON.parse(text).description;
  } catch {
    return undefined;
  }
}

function fail(message) {
  write(element("failure"), message);
  element("failure").hidden = !message;
}

function say(newStatus) {
  status = newStatus;
  render();
}

// The networks that answer, the deployed one first: name, kernel, accuracy, title and a note for people.
function columns() {
  const endpoint = chosen();
  const described = (column, key) => ({
    ...column,
    title: language.say(key, { size: column.kernel }),
    note: column.test_accuracy === undefined ? "" : language.say("accuracy", { share: language.percent(column.test_accuracy) }),
  });
  const fact = (name) => Number(endpoint.tags[`fashion-cnn:${name}`]) || undefined; // another's endpoint may not have it, or anything there
  const deployed = endpoint
    ? [described({ ...endpoint, name: DEPLOYED, endpoint: endpoint.name, kernel: fact("kernel"), test_accuracy: fact("test_accuracy") }, "deployed")]
    : [];
  return [...deployed, ...arms.map((arm) => described(arm, "arm"))];
}

// Whose answer is the big one: the deployed network's, or that of the arm that is right most often.
function speaks() {
  const accuracy = ({ name, test_accuracy: share }) => (name === DEPLOYED ? 2 : (share ?? 0));
  return columns()
    .filter(({ name }) => answers.has(name) || waiting.has(name))
    .reduce((a, b) => (a && accuracy(a) >= accuracy(b) ? a : b), undefined);
}

function render() {
  const { say: words, percent, whole } = language;
  const networks = columns();
  const shares = networks.map((column) => column.test_accuracy).filter((share) => share !== undefined);
  write(element("lead"), shares.length === 0 ? words("leadWithout") : words("lead", {
    low: percent(Math.min(...shares)),
    high: percent(Math.max(...shares)),
    images: whole(testImages ?? 0),
  }));
  const nobody = unreachable ? "noServer" : !chosen() && (served ? "endpointGone" : "nothingDeployed");
  const outage = status !== "loading" && nobody ? words(nobody, { name: served }) : "";
  if (element("outage").dataset.said !== outage) write(element("outage"), outage);
  element("outage").dataset.said = outage; // written once: it is read aloud
  element("outage").hidden = !outage;
  renderPicture();
  renderAnswer(networks);
}

function renderPicture() {
  const { say: words } = language;
  const name = shown ? shown.name() : words("noPicture");
  element("seen-name").textContent = name;
  element("seen").ariaLabel = shown?.strokes ? words("pad") : shown ? words("seen", { name }) : name;
  element("seen").classList.toggle("pad", Boolean(shown?.strokes));
  element("undo").textContent = words(shown?.asIs ? "redo" : "undo");
  element("undo").disabled = !(shown?.strokes?.length || shown?.asIs || (shown?.file && somethingDone(shown.picture)));
  element("mirror").disabled = !shown || shown.pixels === BLANK;
  element("mirror").ariaPressed = String(Boolean(shown?.flipped));
  element("look").disabled = element("mirror").disabled;
  write(element("done"), shown ? whatWasDone(shown) : "");
  const warnings = (shown?.picture?.warnings ?? []).map(({ code, message }) => language.words.warnings[code] ?? message);
  if (shown?.file) warnings.push(words("beware"));
  element("warnings").replaceChildren(...warnings.map((warning) => make("li", {}, warning)));
  element("warnings").hidden = warnings.length === 0;
}

const somethingDone = (picture) => picture && (picture.negated || picture.trimmed || picture.mirrored);

// In a sentence, from what the endpoint says of a picture.
function whatWasDone({ picture, asIs, flipped, other }) {
  const { say: words, words: all, percent } = language;
  const sentences = [];
  if (asIs) sentences.push(words("asItCame"));
  else if (somethingDone(picture)) {
    const { background, negated, trimmed, mirrored: turned, size } = picture;
    const steps = [];
    if (all.backgrounds[background]) steps.push(negated ? `${all.backgrounds[background]}, ${words("negated")}` : all.backgrounds[background]);
    else if (negated) steps.push(words("negated"));
    if (trimmed) steps.push(words("trimmed", { width: trimmed[2] - trimmed[0], height: trimmed[3] - trimmed[1], of: size }));
    steps.push(words("shrunk"));
    if (turned) steps.push(words("wasMirrored"));
    const text = steps.join("; ");
    sentences.push(`${text[0].toLocaleUpperCase()}${text.slice(1)}.`);
  } else sentences.push(words("seenAs"));
  if (flipped) sentences.push(words("mirroredByHand"));
  else if (other) sentences.push(words("otherWay", { garment: all.garments[best(other)], share: percent(other[best(other)]) }));
  return sentences.join(" ");
}

function renderAnswer(networks) {
  const { say: words, words: all, percent, whole, moment } = language;
  const busy = waiting.size > 0;
  const speaker = speaks();
  const probabilities = status ? undefined : answers.get(speaker?.name);
  element("verdict").ariaBusy = element("answers").ariaBusy = String(busy || status === "reading");
  const lines = { big: words(status ?? (busy ? "asking" : shown ? "nobody" : "noPicture")), truth: "", sure: "", agreement: "" };
  if (probabilities) {
    const top = best(probabilities);
    const [garment, share] = [all.garments[top], probabilities[top]];
    const text = share >= 0.8 ? garment : words(share >= 0.5 ? "probably" : "perhaps", { garment });
    lines.big = text[0].toLocaleUpperCase() + text.slice(1);
    lines.sure = words("confidence", { share: percent(share) });
    if (shown.label !== undefined) lines.truth = top === shown.label ? words("right") : words("wrong", { garment: all.garments[shown.label] });
    const others = networks
      .filter(({ name }) => answers.has(name) && best(answers.get(name)) !== top)
      .map(({ name, title }) => ({ network: title, garment: all.garments[best(answers.get(name))] }));
    if (!busy && others.length) lines.agreement = words("differ", { others });
    else if (!busy && answers.size > 1) lines.agreement = words("agree");
  }
  for (const [id, text] of Object.entries(lines)) element(id).textContent = text;
  element("big").className = probabilities ? "" : "quiet";
  showTop(element("top"), language, speaker?.name, probabilities);
  element("by").textContent = !probabilities ? "" : byWhom(speaker, { words, percent, whole, moment });
  showTable(element("answers"), language, networks, answers, shown?.label);
  const deployed = answers.get(DEPLOYED);
  const same = deployed && networks.find((column) => column.name !== DEPLOYED && isSame(networks[0], column));
  element("same").textContent = same ? words("same", { one: networks[0].title, other: same.title }) : "";
  element("same").hidden = !same;
  element("look").ariaExpanded = String(looking);
  element("closer").hidden = !looking;
  if (looking && shown) showMaps(element("maps"), language, networks, answers, lost, shown.pixels);
}

function byWhom({ name, title, test_accuracy: share, endpoint, model, since }, { words, percent, whole, moment }) {
  const by = words("by", {
    network: title,
    accuracy: share !== undefined && percent(share),
    images: testImages && whole(testImages),
  });
  if (name !== DEPLOYED) return by + words("byBrowser");
  return by + words("byEndpoint", { name: endpoint, model, since: moment(since) }) + (share === undefined ? ` ${words("unknownNetwork")}` : "");
}

// Whether an arm is the network that is deployed, as far as kernel, accuracy and this answer tell.
function isSame(deployed, arm) {
  const facts = ["kernel", "test_accuracy"].every((fact) => deployed[fact] === undefined || deployed[fact] === arm[fact]);
  const [a, b] = [answers.get(deployed.name), answers.get(arm.name)];
  return facts && Boolean(a && b) && a.every((probability, i) => Math.abs(probability - b[i]) < ALIKE);
}

function answered(name, probabilities) {
  waiting.delete(name);
  if (probabilities) answers.set(name, probabilities);
  render();
}

// Show a picture and ask every network, except that the deployed one may have answered already.
function ask(picture, prediction) {
  fail("");
  shown = picture;
  question += 1;
  status = undefined;
  answers.clear();
  lost.clear();
  draw(element("seen"), shown.pixels);
  const blank = shown.pixels === BLANK;
  waiting = new Set(blank ? [] : columns().map(({ name }) => name));
  if (blank) return say("drawNow");
  if (prediction) {
    waiting.delete(DEPLOYED);
    answers.set(DEPLOYED, prediction);
  }
  render();
  worker.postMessage({ question, pixels: shown.pixels });
  if (waiting.has(DEPLOYED)) askEndpoint(question, chosen().name, [shown.pixels]).then(([found]) => found && answered(DEPLOYED, found));
  if (looking) lookCloser();
}

// The probabilities of each image; none where they come too late, or not at all, which is said.
async function askEndpoint(asked, name, images) {
  const rows = (pixels) => Array.from({ length: SIZE }, (_, row) => [...pixels.slice(SIZE * row, SIZE * (row + 1))]);
  try {
    const { predictions } = await invoke(name, { "Content-Type": "application/json" }, JSON.stringify({ instances: images.map(rows) }));
    return asked === question ? predictions.map(probabilitiesOf) : [];
  } catch (error) {
    if (asked !== question) return [];
    answered(DEPLOYED, undefined);
    if (error.code !== "NoServer") fail(error.message);
    refresh();
    return [];
  }
}

async function invoke(name, headers, body) {
  const response = await request(`/demo/endpoints/${encodeURIComponent(name)}`, { method: "POST", headers, body });
  const answer = await response.json().catch(() => ({}));
  const known = (prediction) => prediction.probabilities && probabilitiesOf(prediction).every(Number.isFinite);
  if (!answer.predictions?.every(known)) throw new Refusal(language.say("notOurs", { name }));
  served = name;
  return answer;
}

const probabilitiesOf = (prediction) => classes.map((name) => prediction.probabilities[name]);

function lookCloser() {
  const endpoint = chosen();
  const [asked, { pixels }] = [question, shown];
  worker.postMessage({ question, pixels, closer: true });
  if (endpoint) askEndpoint(asked, endpoint.name, occluded(pixels)).then((found) => found.length && looked(DEPLOYED, found));
}

// `after`: a network's answers without one part of the picture after the other.
function looked(name, after) {
  const before = answers.get(name);
  if (!before) return;
  const top = best(before);
  lost.set(name, losses(before[top], after.map((probabilities) => probabilities[top])));
  render();
}

// Ask the endpoint for what it sees in a file and for its answer; without one, or with an older one, the page's server.
async function see(file, asIs) {
  const body = await fitting(file, maxBytes);
  if (!body) {
    const size = language.decimal(megabytes(file.size));
    throw new Refusal(language.say("tooLarge", { size, limit: language.whole(megabytes(maxBytes)) }));
  }
  const headers = {
    "Content-Type": "application/x-image",
    [ATTRIBUTES]: `fashion-cnn-pixels=yes,fashion-cnn-picture=${asIs ? "as-is" : "auto"}`,
  };
  const seen = { file, asIs, name: () => file.name };
  const endpoint = chosen();
  const answer = endpoint && (await invoke(endpoint.name, headers, body).catch((error) => {
    if (error.ofModel === 400) throw error; // the picture's fault
  }));
  const [{ picture, mirror, ...prediction }] = answer?.predictions ?? [{}];
  if (picture?.pixels) {
    const pixels = Uint8Array.from(picture.pixels.flat());
    return { ...seen, pixels, picture, other: mirror && probabilitiesOf(mirror), prediction: probabilitiesOf(prediction) };
  }
  const found = await (await request("/demo/picture", { method: "POST", headers, body })).json();
  return { ...seen, pixels: Uint8Array.from(found.pixels.flat()), picture: found.picture };
}

async function open(files) {
  const failures = [];
  let asked = false;
  for (const file of files) {
    const before = question;
    if (!asked) say("reading");
    try {
      const seen = await see(file, false);
      const button = await addOwn(seen);
      if (!asked && question === before) {
        button.click();
        reveal();
      }
      asked = true;
    } catch (error) {
      failures.push(`${file.name}: ${error.message}`);
    }
  }
  if (!asked) say(undefined);
  fail(failures.join(" "));
}

async function addOwn(seen) {
  const canvas = make("canvas");
  if (!(await thumbnail(canvas, seen.file))) draw(canvas, seen.pixels);
  const button = option(canvas, seen.name, () => ask({ ...seen }, seen.prediction));
  element("own").append(button);
  element("own-section").hidden = false;
  return button;
}

// One picture among others of which one is chosen. Tab reaches that one; the arrow keys reach the others.
function option(canvas, name, choose) {
  const made = make("button", { type: "button", role: "radio", ariaChecked: "false", tabIndex: -1 }, canvas);
  made.rename = () => Object.assign(made, { ariaLabel: name(), title: name() });
  made.rename();
  made.addEventListener("click", () => {
    check(made);
    choose();
  });
  return made;
}

function check(button) {
  for (const group of [element("own"), element("images")]) {
    for (const one of group.children) one.ariaChecked = String(one === button);
    const reached = button?.parentElement === group ? button : (group.querySelector("[tabindex='0']") ?? group.firstElementChild);
    for (const one of group.children) one.tabIndex = one === reached ? 0 : -1;
  }
}

// On a phone the answer may lie below what was touched.
function reveal() {
  if (matchMedia("(max-width: 56rem)").matches) element("answer-title").scrollIntoView();
}

for (const group of [element("own"), element("images")]) {
  group.addEventListener("keydown", (event) => {
    const buttons = [...group.children];
    const across = Math.max(1, buttons.findIndex((one) => one.offsetTop > buttons[0].offsetTop));
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, Home: -buttons.length, End: buttons.length };
    const at = buttons.indexOf(event.target);
    if (at < 0 || !(event.key in steps)) return;
    event.preventDefault();
    const to = buttons[Math.min(Math.max(at + steps[event.key], 0), buttons.length - 1)];
    to.focus();
    to.click();
  });
}

// In turns: the first of every class, the second of every class, ...
function buildImages(images) {
  const counts = new Map();
  const inTurns = images.map((image) => {
    const turn = counts.get(image.label) ?? 0;
    counts.set(image.label, turn + 1);
    return { ...image, turn };
  });
  inTurns.sort((a, b) => a.turn - b.turn || a.label - b.label);
  const buttons = inTurns.map(({ pixels, label, number }) => {
    const canvas = make("canvas");
    draw(canvas, pixels);
    const name = () => language.say("testImage", { garment: language.words.classes[label], number });
    return option(canvas, name, () => ask({ name, pixels, label }));
  });
  element("images").replaceChildren(...buttons);
  element("images-section").hidden = images.length === 0;
  if (!shown) buttons[0]?.click();
}

element("file").addEventListener("change", ({ target }) => {
  if (target.files.length) open([...target.files]);
  target.value = ""; // so that the same file can be chosen again
});
receive(open, (reason) => fail(language.say(reason)));

element("draw").addEventListener("click", () => {
  check(null);
  ask({ name: () => language.say("drawing"), pixels: BLANK, strokes: [] });
  reveal();
});
drawable(element("seen"), () => shown?.strokes && shown.pixels, (pixels, done) => {
  draw(element("seen"), pixels);
  if (done) ask({ ...shown, pixels, flipped: false, strokes: [...shown.strokes, shown.pixels] });
});

element("undo").addEventListener("click", async () => {
  if (shown.strokes) return ask({ ...shown, pixels: shown.strokes.at(-1), strokes: shown.strokes.slice(0, -1) });
  const asked = question;
  try {
    const seen = await see(shown.file, !shown.asIs);
    if (asked === question) ask(seen, seen.prediction);
  } catch (error) {
    fail(error.message);
  }
});
element("mirror").addEventListener("click", () => {
  const strokes = shown.strokes && [...shown.strokes, shown.pixels];
  ask({ ...shown, strokes, pixels: mirrored(shown.pixels), flipped: !shown.flipped });
});
element("look").addEventListener("click", () => {
  looking = !looking;
  if (looking) lookCloser();
  render();
});
element("endpoint").addEventListener("change", () => shown && ask(shown));

worker.onmessage = ({ data }) => {
  if (data.arms) {
    arms = data.arms;
    testImages = data.test_images;
    status = undefined;
    buildImages(data.images);
    if (question && shown) ask(shown);
  } else if (data.question !== question) {
    return;
  } else if (data.occluded) {
    looked(data.name, data.occluded);
  } else {
    answered(data.name, [...data.probabilities]);
  }
};
worker.onerror = (event) => {
  event.preventDefault();
  fail(language.say("armsFailed", { message: event.message }));
};

function speak(code) {
  language = speaker(code);
  document.documentElement.lang = code;
  document.title = language.say("title");
  for (const one of document.querySelectorAll("[data-say]")) write(one, language.say(one.dataset.say));
  for (const one of document.querySelectorAll("[data-label]")) one.ariaLabel = language.say(one.dataset.label);
  element("languages").ariaLabel = language.say("language");
  for (const button of element("languages").children) button.ariaPressed = String(button.lang === code);
  for (const one of document.querySelectorAll("[role=radio]")) one.rename();
  render();
}

for (const [code, name] of Object.entries(LANGUAGES)) {
  const button = make("button", { type: "button", lang: code }, name);
  button.addEventListener("click", () => {
    history.replaceState(null, "", `?lang=${code}`);
    fail("");
    speak(code);
  });
  element("languages").append(button);
}

async function loadBundle() {
  const answer = await request("/demo/bundle");
  const found = answer.status !== 204;
  element("no-bundle").hidden = found;
  element("report").hidden = !found;
  const version = answer.headers.get("ETag");
  if (!found || version === loaded) return;
  const bundle = await answer.arrayBuffer();
  loaded = version;
  worker.postMessage({ bundle }, [bundle]);
}

function buildEndpoints() {
  const value = chosen()?.name ?? "";
  const choice = ({ name, status: state }) => {
    const serves = SERVING.includes(state);
    return make("option", { value: name, disabled: !serves }, serves ? name : `${name} (${state})`);
  };
  element("endpoint").replaceChildren(...endpoints.map(choice));
  element("endpoint").value = value;
  element("endpoint-choice").hidden = endpoints.length < 2;
}

// What the embedded SageMaker serves now: endpoints come and go while the page is open.
async function refresh() {
  const before = [unreachable, JSON.stringify(endpoints), JSON.stringify(chosen())];
  try {
    ({ classes, max_bytes: maxBytes, endpoints } = await (await request("/demo/state")).json());
    unreachable = false;
  } catch {
    endpoints = [];
    unreachable = true;
  }
  const changed = before[2] !== JSON.stringify(chosen());
  if (!unreachable && (changed || !loaded)) await loadBundle(); // a deployment brings its study
  if (before[0] === unreachable && before[1] === JSON.stringify(endpoints)) return;
  buildEndpoints();
  if (!changed) return render();
  if (shown && chosen()) return ask(shown);
  waiting.delete(DEPLOYED);
  answers.delete(DEPLOYED);
  lost.delete(DEPLOYED);
  render();
}

speak(preferred());
for (;;) {
  if (document.visibilityState === "visible") await refresh().catch((error) => fail(error.message));
  if (status === "loading" && !loaded) say(undefined);
  await new Promise((resolve) => setTimeout(resolve, REFRESH_MILLISECONDS));
}
