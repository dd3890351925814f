// The ways to bring a picture: chosen, dropped, pasted, dragged from another site, drawn; and what can be made of its pixels.

import { SIZE } from "/demo/occlusion.js";

const INK = 230; // as bright as cloth in the data set
const BRUSH = 1.3; // pixels, its radius
const LARGE_SIDE = 1024; // to which a picture is shrunk that is too large to send

// Calls `give` with the files of a drop or paste. What is no picture file may still hold one: a browser that drags from
// another site gives an address or HTML. `refuse` is told why there is none.
export function receive(give, refuse) {
  for (const type of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(type, (event) => {
      event.preventDefault(); // else the browser would leave the page for the picture
      document.body.classList.toggle("dropping", type === "dragover");
      if (type === "drop") take(event.dataTransfer);
    });
  }
  document.addEventListener("paste", (event) => take(event.clipboardData));

  function take(transfer) {
    if (transfer.files.length) return give([...transfer.files]);
    const address = addressIn(transfer);
    if (address?.startsWith("data:image/")) return give([fileOf(address)]);
    refuse(address ? "onlyAddress" : "noPictureThere");
  }
}

// The picture's address in the markup that a browser hands over, or in plain text. Markup is searched and never parsed.
function addressIn(transfer) {
  const [, , inMarkup] = /<img\s[^>]*?\bsrc\s*=\s*(["'])(.*?)\1/is.exec(transfer.getData("text/html")) ?? [];
  const line = (transfer.getData("text/uri-list") || transfer.getData("text/plain")).trim();
  return inMarkup ?? (/^(https?|data):\S+$/.test(line) ? line : undefined);
}

function fileOf(address) {
  const [, type, base64, data] = /^data:([^;,]*)[^,]*?(;base64)?,(.*)$/s.exec(address) ?? [];
  try {
    const text = base64 ? atob(data) : decodeURIComponent(data);
    return new File([Uint8Array.from(text, (letter) => letter.charCodeAt(0))], "picture", { type });
  } catch {
    return new File([], "picture"); // which is refused with its reason
  }
}

// The file itself, or a smaller picture where it has more bytes or pixels than a request may; undefined where it has
// too many bytes and the browser can't read it.
export async function fitting(file, limits) {
  const bitmap = await createImageBitmap(file).catch(() => undefined);
  const small = file.size <= limits.bytes;
  if (!bitmap) return small ? file : undefined; // the endpoint may know its format
  if (small && bitmap.width * bitmap.height <= limits.pixels) {
    bitmap.close();
    return file;
  }
  const scale = Math.min(1, LARGE_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(Math.ceil(bitmap.width * scale), Math.ceil(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close(); // of a large picture it holds hundreds of megabytes
  return canvas.convertToBlob({ type: "image/png" });
}

// The picture as the person knows it, cut to a square; false where the browser can't read its format.
export async function thumbnail(canvas, file) {
  const bitmap = await createImageBitmap(file).catch(() => undefined);
  if (!bitmap) return false;
  const side = Math.min(bitmap.width, bitmap.height);
  const corner = [(bitmap.width - side) / 2, (bitmap.height - side) / 2];
  Object.assign(canvas, { width: 96, height: 96 });
  canvas.getContext("2d").drawImage(bitmap, ...corner, side, side, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return true;
}

export function mirrored(pixels) {
  return pixels.map((_, at) => pixels[at - (at % SIZE) + SIZE - 1 - (at % SIZE)]);
}

// Draw with a finger, a pen or the mouse on a canvas of 28×28 pixels. `pixels()` are those to draw on, or nothing
// where drawing is off; `stroke` is called with a copy as it grows, and with `done` at its end.
export function drawable(canvas, pixels, stroke) {
  let drawn = null;
  let last = null;

  const place = ({ clientX, clientY }) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return [((clientX - left) / width) * SIZE - 0.5, ((clientY - top) / height) * SIZE - 0.5];
  };

  const dab = (x, y) => {
    for (let row = Math.max(0, Math.floor(y - 2)); row <= Math.min(SIZE - 1, y + 3); row++) {
      for (let column = Math.max(0, Math.floor(x - 2)); column <= Math.min(SIZE - 1, x + 3); column++) {
        const cover = Math.min(1, Math.max(0, BRUSH + 0.5 - Math.hypot(column - x, row - y)));
        drawn[SIZE * row + column] = Math.max(drawn[SIZE * row + column], Math.round(INK * cover));
      }
    }
  };

  const line = ([x, y]) => {
    const [fromX, fromY] = last;
    const steps = Math.ceil(2 * Math.hypot(x - fromX, y - fromY)) || 1;
    for (let i = 1; i <= steps; i++) dab(fromX + ((x - fromX) * i) / steps, fromY + ((y - fromY) * i) / steps);
    last = [x, y];
    stroke(Uint8Array.from(drawn), false);
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (!pixels() || event.button !== 0) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    drawn = Uint8Array.from(pixels());
    last = place(event);
    line(last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawn) return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) line(place(one));
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (drawn) stroke(drawn, true);
      drawn = null;
    });
  }
}
