// The demo page: pick or drop a picture, show the pixels that the networks see, and what each network answers.

const SIZE = 28;
const PICTURES = ["image/png", "image/jpeg"];
const SERVING = ["InService", "Updating", "SystemUpdating"];
const DEPLOYED = { name: "candidate", label: "Deployed model" };

const element = (id) => document.getElementById(id);
const megabytes = (bytes) => bytes / 1024 ** 2;
const worker = new Worker("/demo/network.js");
let classes = [];
let maxBytes = 0; // of a picture
let columns = [];
let shown = null; // what the networks were asked last: pixels, name, label where it is known
let question = 0; // its number: late answers to an earlier one are dropped
let waiting = new Set(); // the columns that have not answered it yet
const verdicts = new Map();

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function fail(message) {
  element("failure").textContent = message;
  element("failure").hidden = !message;
}

// The body of an answer, or an Error with the message that the server gave.
async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The embedded SageMaker does not answer; make cloud-up starts it. Then reload this page.");
  }
  if (!response.ok) {
    const { message } = await response.json().catch(() => ({}));
    throw new Error(message ?? `${path}: status ${response.status}`);
  }
  return response;
}

function draw(canvas, pixels) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIZE, SIZE);
  pixels.forEach((grey, i) => image.data.set([grey, grey, grey, 255], 4 * i));
  context.putImageData(image, 0, 0);
}

function buildTable() {
  const heading = ({ name, label }) => make("th", { scope: "col", className: name }, label);
  element("answers").tHead.rows[0].replaceChildren(make("th", { scope: "col" }, "Class"), ...columns.map(heading));
  const cell = ({ name }) => make("td", { className: name });
  const row = (name) => make("tr", {}, make("th", { scope: "row" }, name), ...columns.map(cell));
  element("answers").tBodies[0].replaceChildren(...classes.map(row));
}

const cells = (name) => element("answers").tBodies[0].querySelectorAll(`td.${name}`);

function settle(name) {
  waiting.delete(name);
  element("answers").ariaBusy = String(waiting.size > 0);
  if (waiting.size === 0) {
    const answered = columns.filter((column) => verdicts.has(column.name));
    element("verdict").textContent = answered.map((column) => `${column.label}: ${verdicts.get(column.name)}.`).join(" ");
  }
}

function show(name, probabilities) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  cells(name).forEach((cell, i) => {
    const percent = `${(100 * probabilities[i]).toFixed(1)} %`;
    const bar = make("span", { className: "bar" });
    bar.style.width = `${100 * probabilities[i]}%`;
    cell.replaceChildren(make("data", { value: probabilities[i] }, percent), bar);
    cell.classList.toggle("top", i === best);
  });
  const right = shown.label === undefined ? "" : best === shown.label ? ", right" : ", wrong";
  verdicts.set(name, classes[best] + right);
  settle(name);
}

function ask(pixels, name, label) {
  fail("");
  shown = { pixels, name, label };
  question += 1;
  draw(element("seen"), pixels);
  element("seen").ariaLabel = `${name}, 28 by 28 pixels in grey`;
  element("seen-name").textContent = name;
  [...element("answers").tBodies[0].rows].forEach((row, i) => row.classList.toggle("truth", i === label));
  element("answers").querySelectorAll("td").forEach((cell) => {
    cell.replaceChildren();
    cell.classList.remove("top");
  });
  verdicts.clear();
  waiting = new Set(columns.map((column) => column.name));
  element("answers").ariaBusy = String(waiting.size > 0);
  worker.postMessage({ question, pixels });
  if (waiting.has(DEPLOYED.name)) askEndpoint(question, pixels, element("endpoint").value);
}

async function askEndpoint(asked, pixels, endpoint) {
  const rows = Array.from({ length: SIZE }, (_, row) => [...pixels.slice(SIZE * row, SIZE * (row + 1))]);
  try {
    const answer = await request(`/demo/endpoints/${encodeURIComponent(endpoint)}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ instances: [rows] }),
    });
    const { predictions } = await answer.json().catch(() => ({}));
    const probabilities = classes.map((name) => predictions?.[0]?.probabilities?.[name]);
    if (!probabilities.every(Number.isFinite)) throw new Error(`Endpoint ${endpoint} does not answer as this project's models do.`);
    if (asked === question) show(DEPLOYED.name, probabilities);
  } catch (error) {
    if (asked !== question) return;
    fail(error.message);
    settle(DEPLOYED.name);
  }
}

async function open(file) {
  check(null);
  try {
    if (!PICTURES.includes(file.type)) throw new Error("not a PNG or JPEG picture.");
    if (file.size > maxBytes) throw new Error(`${megabytes(file.size).toFixed(1)} MB; allowed: up to ${megabytes(maxBytes)} MB.`);
    const headers = { "Content-Type": file.type };
    const answer = await request("/demo/picture", { method: "POST", headers, body: file });
    const { instances } = await answer.json();
    ask(Uint8Array.from(instances[0].flat()), file.name);
  } catch (error) {
    fail(`${file.name}: ${error.message}`);
  }
}

// Mark one test image as chosen. Tab reaches that one, or the one before; the arrow keys reach the others.
function check(button) {
  for (const other of element("images").children) other.ariaChecked = String(other === button);
  if (!button) return;
  for (const other of element("images").children) other.tabIndex = other === button ? 0 : -1;
}

function buildImages(images) {
  const button = ({ pixels, label, number }) => {
    const canvas = make("canvas", { width: SIZE, height: SIZE });
    draw(canvas, pixels);
    const name = `${classes[label]}, test image ${number}`;
    const made = make("button", { type: "button", role: "radio", ariaLabel: name, title: name, tabIndex: -1 }, canvas);
    made.addEventListener("click", () => {
      check(made);
      ask(pixels, name, label);
    });
    return made;
  };
  element("images").replaceChildren(...images.map(button));
  element("images-section").hidden = images.length === 0;
  element("images").firstElementChild?.click();
}

element("images").addEventListener("keydown", (event) => {
  const buttons = [...element("images").children];
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10, Home: -buttons.length, End: buttons.length };
  const at = buttons.indexOf(event.target);
  if (at < 0 || !(event.key in steps)) return;
  event.preventDefault();
  const to = buttons[Math.min(Math.max(at + steps[event.key], 0), buttons.length - 1)];
  to.focus();
  to.click();
});

element("file").addEventListener("change", ({ target }) => {
  if (target.files.length) open(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});

for (const type of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault(); // else the browser would leave the page for the picture
    document.body.classList.toggle("dropping", type === "dragover");
    if (type === "drop" && event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
  });
}

element("endpoint").addEventListener("change", () => shown && ask(shown.pixels, shown.name, shown.label));

worker.onmessage = ({ data }) => {
  if (data.arms) {
    columns.push(...data.arms);
    buildTable();
    buildImages(data.images);
  } else if (data.question === question) {
    show(data.name, [...data.probabilities]);
  }
};
worker.onerror = (event) => {
  event.preventDefault();
  fail(`The arms can't be computed: ${event.message}`);
};

function buildEndpoints(endpoints) {
  const option = ({ name, status }) => {
    const serves = SERVING.includes(status);
    return make("option", { value: name, disabled: !serves }, serves ? name : `${name} (${status})`);
  };
  element("endpoint").replaceChildren(...endpoints.map(option));
  const first = endpoints.find(({ status }) => SERVING.includes(status));
  element("endpoint").value = first?.name ?? "";
  element("endpoint-choice").hidden = endpoints.length === 0;
  element("nothing-deployed").hidden = Boolean(first);
  return first ? [DEPLOYED] : [];
}

async function start() {
  const state = await (await request("/demo/state")).json();
  classes = state.classes;
  maxBytes = state.max_bytes;
  element("limit").textContent = `, up to ${megabytes(maxBytes)} MB`;
  columns = buildEndpoints(state.endpoints);
  buildTable();
  const answer = await request("/demo/bundle");
  element("no-bundle").hidden = answer.status !== 204;
  if (answer.status === 204) return;
  const bundle = await answer.arrayBuffer();
  worker.postMessage({ bundle }, [bundle]);
}

start().catch((error) => fail(error.message));
