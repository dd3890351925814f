// A worker that computes the arms: their layers as Keras defines them, on the weights of the bundle.
// Source: keras.io/api/layers; tensorflow.org/api_docs/python/tf/nn, "Notes on padding"; the format of
// github.com/huggingface/safetensors. A feature map's values are in the order row, column, channel.

import { occluded } from "/demo/occlusion.js";

const TYPES = { F32: Float32Array, I32: Int32Array, U8: Uint8Array };
let arms = [];
let latest; // the question that is worth an answer

function unpack(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const { __metadata__: metadata, ...tensors } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries(tensors)) {
    const type = TYPES[dtype];
    tensors[name] = { shape, values: new type(buffer, 8 + length + start, (end - start) / type.BYTES_PER_ELEMENT) };
  }
  return { metadata, tensors };
}

function rescaling(input, { scale, offset }) {
  return { ...input, values: Float32Array.from(input.values, (value) => value * scale + offset) };
}

// How many steps a window of `size` makes along `length`, and where the first begins: padding may put it outside.
function windows(length, size, stride, padding) {
  if (padding === "valid") return [Math.floor((length - size) / stride) + 1, 0];
  const steps = Math.ceil(length / stride);
  return [steps, -Math.floor(Math.max((steps - 1) * stride + size - length, 0) / 2)];
}

function conv2d(input, { kernel, bias, stride, padding }) {
  const [rows, columns, channels, filters] = kernel.shape;
  const [height, top] = windows(input.height, rows, stride, padding);
  const [width, left] = windows(input.width, columns, stride, padding);
  const values = new Float32Array(height * width * filters);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += filters) {
      values.set(bias.values, at);
      for (let i = 0; i < rows; i++) {
        const row = y * stride + top + i;
        if (row < 0 || row >= input.height) continue;
        for (let j = 0; j < columns; j++) {
          const column = x * stride + left + j;
          if (column < 0 || column >= input.width) continue;
          for (let channel = 0; channel < channels; channel++) {
            const value = input.values[(row * input.width + column) * channels + channel];
            if (value === 0) continue; // after relu that is half of them
            const weights = ((i * columns + j) * channels + channel) * filters;
            for (let f = 0; f < filters; f++) values[at + f] += value * kernel.values[weights + f];
          }
        }
      }
    }
  }
  return { height, width, channels: filters, values };
}

function maxPooling2d({ height, width, channels, values }, { size }) {
  const pooled = { height: Math.floor(height / size), width: Math.floor(width / size), channels };
  pooled.values = new Float32Array(pooled.height * pooled.width * channels).fill(-Infinity);
  for (let y = 0; y < pooled.height * size; y++) {
    for (let x = 0; x < pooled.width * size; x++) {
      const to = (Math.floor(y / size) * pooled.width + Math.floor(x / size)) * channels;
      const from = (y * width + x) * channels;
      for (let c = 0; c < channels; c++) pooled.values[to + c] = Math.max(pooled.values[to + c], values[from + c]);
    }
  }
  return pooled;
}

// A dense layer is a convolution whose kernel covers all there is: one row, one column, every value a channel.
function dense(input, { kernel, bias }) {
  const flat = { height: 1, width: 1, channels: input.values.length, values: input.values };
  return conv2d(flat, { kernel: { ...kernel, shape: [1, 1, ...kernel.shape] }, bias, stride: 1, padding: "valid" });
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

const LAYERS = { Rescaling: rescaling, Conv2D: conv2d, MaxPooling2D: maxPooling2d, Dense: dense };
const ACTIVATIONS = { linear: (values) => values, relu: (values) => values.map((v) => Math.max(v, 0)), softmax };

function probabilities(layers, pixels) {
  let map = { height: 28, width: 28, channels: 1, values: pixels };
  for (const layer of layers) {
    map = LAYERS[layer.kind](map, layer);
    map.values = ACTIVATIONS[layer.activation ?? "linear"](map.values);
  }
  return map.values;
}

function open(bundle) {
  const { metadata, tensors } = unpack(bundle);
  const linked = (layer) => ({ ...layer, kernel: tensors[layer.kernel], bias: tensors[layer.bias] });
  const study = JSON.parse(metadata.study);
  arms = study.arms.map((arm) => ({ ...arm, layers: arm.layers.map(linked) }));
  const { images, labels, numbers } = tensors;
  postMessage({
    arms: arms.map(({ name, kernel, test_accuracy }) => ({ name, kernel, test_accuracy })),
    test_images: study.test_images,
    images: Array.from(labels.values, (label, i) => ({
      pixels: images.values.slice(784 * i, 784 * (i + 1)),
      label,
      number: numbers.values[i],
    })),
  });
}

async function lookCloser(question, pixels) {
  for (const { name, layers } of arms) {
    const answers = [];
    for (const image of occluded(pixels)) {
      // A pause now and then, in which the next question may come.
      if (answers.length % 10 === 0) await new Promise((resolve) => setTimeout(resolve));
      if (latest !== question) return;
      answers.push(probabilities(layers, image));
    }
    postMessage({ question, name, occluded: answers });
  }
}

// {bundle} opens one, and is answered with what the page shows of it; {question, pixels} is answered arm by arm,
// with `closer` for the picture without one part after the other.
onmessage = ({ data: { bundle, question, pixels, closer } }) => {
  if (bundle) return open(bundle);
  latest = question;
  if (closer) return lookCloser(question, pixels);
  for (const { name, layers } of arms) postMessage({ question, name, probabilities: probabilities(layers, pixels) });
};
