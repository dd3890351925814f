// Pictures of which one is chosen: radio buttons, the test images' and the person's own.

import { make } from "/demo/answers.js";

// One picture; `name()` says what it is, in the language of the moment.
export function option(canvas, name, choose) {
  const made = make("button", { type: "button", role: "radio", ariaChecked: "false", tabIndex: -1 }, canvas);
  made.rename = () => Object.assign(made, { ariaLabel: name(), title: name() });
  made.rename();
  made.addEventListener("click", choose);
  return made;
}

// Mark one as chosen, or none. Tab reaches it, and in the other groups the one that was chosen last.
export function check(groups, button) {
  for (const group of groups) {
    const reached = button?.parentElement === group ? button : (group.querySelector("[tabindex='0']") ?? group.firstElementChild);
    for (const one of group.children) {
      one.ariaChecked = String(one === button);
      one.tabIndex = one === reached ? 0 : -1;
    }
  }
}

// The arrow keys reach what Tab does not.
export function followArrows(group) {
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
export function inTurns(images) {
  const turns = {};
  const numbered = images.map((image) => ({ ...image, turn: (turns[image.label] = (turns[image.label] ?? 0) + 1) }));
  return numbered.sort((a, b) => a.turn - b.turn || a.label - b.label);
}
