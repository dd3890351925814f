// The demo page: what it knows, whom it asks and when. The other files take pictures in, ask, show and speak.

import { byWhom, draw, element, inWords, make, showMaps, showTable, showTop, somethingDone, whatWasDone, write } from "/demo/answers.js";
import { check, followArrows, inTurns, option } from "/demo/gallery.js";
import { occluded, SIZE } from "/demo/occlusion.js";
import { drawable, mirrored, receive, thumbnail } from "/demo/pictures.js";
import { askEndpoint, Refusal, request, see } from "/demo/server.js";
import { LANGUAGES, preferred, speaker } from "/demo/words.js";

const SERVING = ["InService", "Updating", "SystemUpdating"];
const DEPLOYED = "candidate";
const REFRESH_MILLISECONDS = 4000;
const BLANK = new Uint8Array(SIZE * SIZE);
const ALIKE = 1e-4; // of a probability: that much may one network's answers differ from place to place

const worker = new Worker("/demo/network.js", { type: "module" });
const galleries = [element("own"), element("images")];
let language = speaker(preferred());
let classes = []; // the names that the endpoint uses
let limits = { bytes: Infinity, pixels: Infinity }; // of a picture
let unsure = 0; // a lower probability is worth a warning
let endpoints = [];
let served; // the endpoint that was there last, to say so when it is gone
let unreachable = false; // the embedded SageMaker
let arms = []; // the study's networks, which this browser computes
let testImages; // how many their accuracy was measured on
let loaded; // the version of the study's bundle that was brought
let lacking = () => ""; // why it is not there, in the language of the moment

// The picture: name(), pixels; where it has them label, file, asIs, flipped, strokes, and what see() says, of which
// `from` is the deployment that said it.
let shown = null;
let question = 0; // its number: late answers to an earlier one are dropped
let status = "loading"; // said in place of an answer
let failure = () => ""; // what did not work, in the language of the moment
let waiting = new Set(); // the networks that have not answered yet
const answers = new Map(); // probabilities by network
const closer = new Map(); // by network, its answers to the picture without one part after the other
let looking = false; // whether the person wants to see what the networks look at

const serving = () => endpoints.filter((endpoint) => SERVING.includes(endpoint.status));
const chosen = () => serving().find(({ name }) => name === element("endpoint").value) ?? serving()[0];
const deployment = (endpoint) => endpoint && [endpoint.name, endpoint.model, endpoint.since].join();

// The networks that answer, the deployed one first: name, kernel, accuracy, title and a note for people.
function columns() {
  const described = (column, key) => {
    const share = column.test_accuracy;
    const note = share === undefined ? "" : language.say("accuracy", { share: language.percent(share) });
    return { ...column, title: language.say(key, { size: column.kernel }), note };
  };
  const deployed = serving()
    .filter((endpoint) => endpoint === chosen())
    .map(({ name, tags, ...endpoint }) => {
      const fact = (key) => Number(tags[`fashion-cnn:${key}`]) || undefined; // somebody else's endpoint has none
      const facts = { kernel: fact("kernel"), test_accuracy: fact("test_accuracy") };
      return described({ ...endpoint, ...facts, name: DEPLOYED, endpoint: name }, "deployed");
    });
  return [...deployed, ...arms.map((arm) => described(arm, "arm"))];
}

// Whose answer is the big one: the deployed network's, or that of the arm that is right most often.
function speaks(networks) {
  const rank = ({ name, test_accuracy: share }) => (name === DEPLOYED ? 2 : (share ?? 0));
  const able = networks.filter(({ name }) => answers.has(name) || waiting.has(name));
  return able.sort((a, b) => rank(b) - rank(a))[0];
}

// Whether an arm is the network that is deployed, as far as kernel, accuracy and this answer tell.
function isSame(deployed, arm) {
  const facts = ["kernel", "test_accuracy"].every((fact) => deployed[fact] === undefined || deployed[fact] === arm[fact]);
  const [a, b] = [answers.get(deployed.name), answers.get(arm.name)];
  return facts && Boolean(a && b) && a.every((probability, i) => Math.abs(probability - b[i]) < ALIKE);
}

function show(id, text) {
  write(element(id), text);
  element(id).hidden = !text;
}

function render() {
  const { say, percent, whole } = language;
  const networks = columns();
  const shares = networks.map((column) => column.test_accuracy).filter((share) => share !== undefined);
  const [low, high] = [Math.min(...shares), Math.max(...shares)].map(percent);
  write(element("lead"), shares.length ? say("lead", { low, high, images: whole(testImages ?? 0) }) : say("leadWithout"));
  const missing = unreachable ? "noServer" : !chosen() && (served ? "endpointGone" : "nothingDeployed");
  show("outage", status !== "loading" && missing ? say(missing, { name: served }) : "");
  show("no-bundle", lacking());
  show("failure", failure());
  const who = speaks(networks);
  renderPicture(who);
  renderAnswer(networks, who);
}

function renderPicture(who) {
  const { say, words } = language;
  const name = shown?.name();
  write(element("seen-name"), name);
  const nothing = say(status === "refused" ? "refused" : "noPicture");
  element("seen").ariaLabel = shown?.strokes ? say("pad") : shown ? say("seen", { name }) : nothing;
  element("seen").classList.toggle("pad", Boolean(shown?.strokes));
  write(element("undo"), say(shown?.asIs ? "redo" : "undo"));
  element("undo").disabled = !(shown?.strokes?.length || shown?.asIs || (shown?.file && somethingDone(shown.picture)));
  element("mirror").disabled = element("look").disabled = !shown || shown.pixels === BLANK;
  element("mirror").ariaPressed = String(Boolean(shown?.flipped));
  // What a deployment said of its own answer holds while that answer is shown; what it said of the picture, always.
  const itsOwn = who?.name === DEPLOYED && !shown?.flipped && shown?.from === deployment(chosen());
  show("done", shown ? whatWasDone(language, itsOwn ? shown : { ...shown, other: undefined }) : "");
  const warnings = (shown?.picture?.warnings ?? [])
    .filter(({ code }) => code !== "unsure-class" && (itsOwn || code !== "unsure-direction"))
    .map(({ code, message }) => words.warnings[code] ?? message);
  if (Math.max(...(answers.get(who?.name) ?? [1])) < unsure) warnings.push(words.warnings["unsure-class"]);
  element("warnings").replaceChildren(...warnings.map((warning) => make("li", {}, warning)));
  element("warnings").hidden = warnings.length === 0;
  element("beware").hidden = !shown || shown.label !== undefined;
}

function renderAnswer(networks, who) {
  const { say } = language;
  const busy = waiting.size > 0;
  element("verdict").ariaBusy = element("answers").ariaBusy = String(busy || status === "reading");
  const probabilities = status ? undefined : answers.get(who?.name);
  const silent = { big: say(status ?? (busy ? "asking" : shown ? "nobody" : "noPicture")), truth: "", sure: "", agreement: "" };
  const others = networks
    .filter(({ name }) => !busy && name !== who?.name && answers.has(name))
    .map(({ name, title }) => ({ title, probabilities: answers.get(name) }));
  const said = probabilities ? inWords(language, probabilities, others, shown.label) : silent;
  for (const [id, text] of Object.entries(said)) write(element(id), text);
  element("big").className = probabilities ? "" : "quiet";
  showTop(element("top"), language, who?.name, probabilities);
  show("by", probabilities ? byWhom(language, who, testImages) : "");
  showTable(element("answers"), language, networks, answers, shown?.label);
  element("answers").hidden = element("all-title").hidden = networks.length === 0;
  const same = networks.find((column) => column.name !== DEPLOYED && isSame(networks[0], column));
  show("same", same && networks[0].name === DEPLOYED ? say("same", { one: networks[0].title, other: same.title }) : "");
  element("look").ariaExpanded = String(looking);
  element("closer").hidden = !looking;
  if (shown && looking) showMaps(element("maps"), language, networks, answers, closer, shown.pixels);
  else element("maps").replaceChildren();
}

// Say why something did not work; what is no Refusal is this page's own fault.
const reason = (error) => (error instanceof Refusal ? language.say(error.key, error.values) : String(error));
function fail(text) {
  failure = text;
  show("failure", failure());
}

function become(newStatus) {
  status = newStatus;
  render();
}

// Show nothing: an earlier picture's answer would be taken for that of the one which was refused.
function refuse(text) {
  question += 1;
  shown = null;
  for (const one of [answers, closer, waiting]) one.clear();
  check(galleries, null);
  draw(element("seen"), BLANK);
  fail(text);
  become("refused");
  reveal();
}

// Show a picture and ask every network, except that the deployed one may have answered already.
function ask(picture, prediction) {
  fail(() => "");
  shown = picture;
  question += 1;
  answers.clear();
  closer.clear();
  draw(element("seen"), shown.pixels);
  const blank = shown.pixels === BLANK;
  waiting = new Set(blank ? [] : columns().map(({ name }) => name));
  const holds = prediction && picture.from === deployment(chosen());
  if (holds && waiting.delete(DEPLOYED)) answers.set(DEPLOYED, prediction);
  become(blank ? "drawNow" : undefined);
  if (blank) return;
  worker.postMessage({ question, pixels: shown.pixels });
  if (waiting.has(DEPLOYED)) deployed([shown.pixels], ([probabilities]) => answers.set(DEPLOYED, probabilities));
  if (looking) lookCloser();
}

function lookCloser() {
  worker.postMessage({ question, pixels: shown.pixels, closer: true });
  if (chosen()) deployed(occluded(shown.pixels), (after) => closer.set(DEPLOYED, after));
}

// Ask the deployed network, and do something with its answers unless they come too late.
async function deployed(images, use) {
  const asked = question;
  const refusal = await askEndpoint(chosen().name, classes, images).then(
    (found) => void (asked === question && use(found)),
    (error) => error,
  );
  if (asked !== question) return;
  waiting.delete(DEPLOYED);
  render();
  if (!refusal) return;
  await refresh(); // the endpoint or the server may be gone, which is said as long as it lasts
  if (chosen() && asked === question) fail(() => reason(refusal));
}

async function seen(file, asIs) {
  const endpoint = chosen();
  const found = await see(file, asIs, endpoint, classes, limits);
  return { file, asIs, from: deployment(endpoint), name: () => file.name, ...found };
}

async function open(files) {
  const failures = [];
  const atFirst = shown;
  let asked = false;
  for (const file of files) {
    const before = shown;
    if (!asked) become("reading");
    try {
      const button = await addOwn(await seen(file, false));
      if (!asked && shown === before) {
        button.click();
        reveal();
      }
      asked = true;
    } catch (error) {
      failures.push(() => `${file.name}: ${reason(error)}`);
    }
  }
  const why = () => failures.map((one) => one()).join(" ");
  if (!asked && shown === atFirst) return refuse(why);
  if (!asked) become(undefined);
  fail(why);
}

async function addOwn(picture) {
  const canvas = make("canvas");
  if (!(await thumbnail(canvas, picture.file))) draw(canvas, picture.pixels);
  const button = option(canvas, picture.name, () => {
    check(galleries, button);
    ask({ ...picture }, picture.prediction);
  });
  element("own").append(button);
  element("own-section").hidden = false;
  return button;
}

function addTestImages(images) {
  const buttons = inTurns(images).map(({ pixels, label, number }) => {
    const canvas = make("canvas");
    draw(canvas, pixels);
    const name = () => language.say("testImage", { garment: language.words.classes[label], number });
    const button = option(canvas, name, () => {
      check(galleries, button);
      ask({ name, pixels, label });
    });
    return button;
  });
  element("images").replaceChildren(...buttons);
  element("images-section").hidden = images.length === 0;
  if (!shown && !["reading", "refused"].includes(status)) buttons[0]?.click();
}

// Where the answer lies below what was touched, it goes to the top; beside that, into sight.
function reveal() {
  element("answer-title").scrollIntoView({ block: matchMedia("(max-width: 56rem)").matches ? "start" : "nearest" });
}

galleries.forEach(followArrows);
receive(open, (key) => (key === "onlyAddress" ? refuse : fail)(() => language.say(key)));
element("file").addEventListener("change", ({ target }) => {
  if (target.files.length) open([...target.files]);
  target.value = ""; // so that the same file can be chosen again
});
element("draw").addEventListener("click", () => {
  check(galleries, null);
  ask({ name: () => language.say("drawing"), pixels: BLANK, strokes: [] });
  reveal();
});
drawable(element("seen"), () => shown?.strokes && shown.pixels, (pixels, done) => {
  draw(element("seen"), pixels);
  if (done) ask({ ...shown, pixels, flipped: false, strokes: [...shown.strokes, shown.pixels] });
});
element("undo").addEventListener("click", async () => {
  if (shown.strokes) return ask({ ...shown, pixels: shown.strokes.at(-1), flipped: false, strokes: shown.strokes.slice(0, -1) });
  const before = shown;
  try {
    const picture = await seen(shown.file, !shown.asIs);
    if (shown === before) ask(picture, picture.prediction);
  } catch (error) {
    fail(() => reason(error));
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
element("endpoint").addEventListener("change", () => (shown ? ask(shown) : render()));

worker.onmessage = ({ data }) => {
  if (data.arms) {
    ({ arms, test_images: testImages } = data);
    if (status === "loading") status = undefined;
    addTestImages(data.images);
    return shown ? ask(shown) : render();
  }
  if (data.question !== question) return;
  if (data.occluded) closer.set(data.name, data.occluded);
  else {
    answers.set(data.name, [...data.probabilities]);
    waiting.delete(data.name);
  }
  render();
};
worker.onerror = (event) => {
  event.preventDefault();
  for (const { name } of arms) waiting.delete(name);
  become(status === "loading" ? undefined : status);
  fail(() => language.say("armsFailed", { message: event.message }));
};

function speak(code) {
  language = speaker(code);
  document.documentElement.lang = code;
  document.title = language.say("title");
  for (const one of document.querySelectorAll("[data-say]")) write(one, language.say(one.dataset.say));
  for (const one of document.querySelectorAll("[data-label]")) one.ariaLabel = language.say(one.dataset.label);
  for (const one of element("languages").children) one.ariaPressed = String(one.lang === code);
  for (const one of document.querySelectorAll("[role=radio]")) one.rename();
  buildEndpoints();
  render();
}

for (const [code, name] of Object.entries(LANGUAGES)) {
  const button = make("button", { type: "button", lang: code }, name);
  button.addEventListener("click", () => {
    history.replaceState(null, "", `?lang=${code}`);
    speak(code);
  });
  element("languages").append(button);
}

async function loadBundle() {
  try {
    const answer = await request("/demo/bundle");
    const version = answer.status === 204 ? undefined : answer.headers.get("ETag");
    element("report").hidden = !version;
    lacking = () => (version ? "" : language.say("noBundle"));
    if (version && version !== loaded) {
      const bundle = await answer.arrayBuffer();
      loaded = version;
      worker.postMessage({ bundle }, [bundle]);
    }
  } catch (error) {
    if (error.key !== "noServer") lacking = () => reason(error); // that is said already
  }
  render();
}

function buildEndpoints() {
  const { words } = language;
  const value = chosen()?.name ?? "";
  const choice = ({ name, status: state }) => {
    const serves = SERVING.includes(state);
    return make("option", { value: name, disabled: !serves }, serves ? name : `${name} (${words.states[state] ?? state})`);
  };
  element("endpoint").replaceChildren(...endpoints.map(choice));
  element("endpoint").value = value;
  element("endpoint-choice").hidden = endpoints.length < 2;
}

// What the embedded SageMaker serves now: endpoints come and go while the page is open.
async function refresh() {
  const known = () => JSON.stringify([unreachable, endpoints]);
  const [before, servedBefore] = [known(), JSON.stringify(chosen())];
  try {
    ({ classes, limits, unsure, endpoints } = await (await request("/demo/state")).json());
    if (unreachable) fail(() => ""); // it may say just that
    unreachable = false;
  } catch {
    endpoints = [];
    unreachable = true;
  }
  const changed = servedBefore !== JSON.stringify(chosen());
  if (before !== known()) buildEndpoints();
  if (changed && shown && chosen()) ask(shown);
  else if (changed) for (const one of [waiting, answers, closer]) one.delete(DEPLOYED);
  if (before !== known()) render();
  served = chosen()?.name ?? served;
  if (!unreachable && (changed || !loaded || lacking())) await loadBundle(); // a deployment brings its study
}

speak(preferred());
for (;;) {
  if (document.visibilityState === "visible") await refresh();
  if (status === "loading" && !loaded) become(undefined);
  await new Promise((resolve) => setTimeout(resolve, REFRESH_MILLISECONDS));
}
