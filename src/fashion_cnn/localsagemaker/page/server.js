// What the page asks of the server that it came from: an endpoint's answers, and what becomes of a picture.

import { SIZE } from "/demo/occlusion.js";
import { fitting } from "/demo/pictures.js";

const sender = new Worker("/demo/requests.js", { type: "module" });
const ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes";
// How the handler's refusals of a picture begin, which are written for programs, and what words.js says instead.
const REFUSALS = {
  "the picture shows nothing but background": "onlyBackground",
  "the body is no picture": "unreadable",
  "the picture is damaged": "damaged",
  "the picture has ": "tooManyPixels",
};

const FAILURES = { NoStore: "noStore", TooManyRequests: "tooMuch" }; // this server's own

// Why something did not work, as a key of words.js and its values, so that it can be said in either language.
export class Refusal extends Error {
  constructor(key, values = {}, ofModel) {
    super(key);
    Object.assign(this, { key, values, ofModel }); // ofModel: the status that the model server answered
  }
}

export async function request(path, options) {
  const response = await send(path, options);
  if (!response) throw new Refusal("noServer");
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  if (said.__type in FAILURES) throw new Refusal(FAILURES[said.__type]);
  const message = modelsWords(said) ?? said.message ?? `${path}: ${response.status}`;
  const known = Object.keys(REFUSALS).find((start) => message.startsWith(start));
  throw new Refusal(REFUSALS[known] ?? "said", { message }, said.OriginalStatusCode);
}

// The response, or nothing where no server answered.
function send(path, options) {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => {
      port1.close();
      resolve(data && new Response(data.body.byteLength ? data.body : null, data));
    };
    sender.postMessage({ path, options }, [port2]);
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

// The predictions of an endpoint; `classes` are the names by which it knows them.
async function invoke(name, classes, headers, body) {
  const response = await request(`/demo/endpoints/${encodeURIComponent(name)}`, { method: "POST", headers, body });
  const { predictions } = await response.json().catch(() => ({}));
  const known = ({ probabilities }) => classes.every((one) => Number.isFinite(probabilities?.[one]));
  if (!predictions?.length || !predictions.every(known)) throw new Refusal("notOurs", { name });
  return predictions;
}

// The probabilities of each image, by class, as the endpoint answers to arrays.
export async function askEndpoint(name, classes, images) {
  const rows = (pixels) => Array.from({ length: SIZE }, (_, row) => [...pixels.slice(SIZE * row, SIZE * (row + 1))]);
  const body = JSON.stringify({ instances: images.map(rows) });
  const predictions = await invoke(name, classes, { "Content-Type": "application/json" }, body);
  return predictions.map(({ probabilities }) => classes.map((one) => probabilities[one]));
}

// What an endpoint sees in a picture file, what it did with it and what it answers, for both directions where it asked
// both. Without an endpoint, or with one of another project or time, the page's own server prepares the picture.
export async function see(file, asIs, endpoint, classes, limits) {
  if (!file.size) throw new Refusal("emptyFile");
  const sendable = await fitting(file, limits);
  if (!sendable) throw new Refusal("tooLarge", { bytes: file.size, maxBytes: limits.bytes });
  const body = await sendable.arrayBuffer().catch(() => {
    throw new Refusal("unreadable"); // a folder, or what was moved meanwhile
  });
  const headers = {
    "Content-Type": "application/x-image",
    [ATTRIBUTES]: `fashion-cnn-pixels=yes,fashion-cnn-picture=${asIs ? "as-is" : "auto"}`,
  };
  const predictions = endpoint && (await invoke(endpoint.name, classes, headers, body).catch((refusal) => {
    if (refusal.ofModel === 400) throw refusal; // the picture's fault
  }));
  const listed = (prediction) => prediction && classes.map((one) => prediction.probabilities[one]);
  const [answer] = predictions ?? [{}];
  if (answer.picture?.pixels) {
    const { picture, mirror } = answer;
    return { pixels: Uint8Array.from(picture.pixels.flat()), picture, prediction: listed(answer), other: listed(mirror) };
  }
  const found = await (await request("/demo/picture", { method: "POST", headers, body })).json();
  return { pixels: Uint8Array.from(found.pixels.flat()), picture: found.picture };
}
