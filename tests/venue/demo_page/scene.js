// The lane, drawn: a tripod whose three arms turn in space, a floor, and the people at it.
//
// Metres: x across the way, y up, z along the way (people walk in towards +z). The three arms stand at right angles to
// each other on an axis that leans out of the cabinet, as real tripods have it, so one arm always lies across the way.

const SVG = "http://www.w3.org/2000/svg";
const HUB = [-0.02, 0.74, 0];
const ARM_M = 0.72;
const AXIS = [1 / Math.sqrt(3), -Math.sqrt(2 / 3), 0];
const ARMS = [[1, 0, 0], [0, -Math.SQRT1_2, Math.SQRT1_2], [0, -Math.SQRT1_2, -Math.SQRT1_2]];
const TURN_MS = 900;
const STEP_MS = 850;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// ARMS sum up to (1, -√2, 0) = √3 · AXIS: turning by 120° about AXIS takes each arm to the next one's place.

function project([x, y, z]) {
  // From behind, above and left of who walks in.
  const turn = -0.5, tilt = 0.4;
  const rx = x * Math.cos(turn) - z * Math.sin(turn);
  const rz = x * Math.sin(turn) + z * Math.cos(turn);
  const ry = y * Math.cos(tilt) + rz * Math.sin(tilt);
  const depth = -y * Math.sin(tilt) + rz * Math.cos(tilt);
  const scale = 116 / (1 + depth * 0.06);
  return [206 + rx * scale, 196 - ry * scale, depth];
}

function turned(v, angle) {
  // Rodrigues' formula about AXIS.
  const [ax, ay, az] = AXIS, c = Math.cos(angle), s = Math.sin(angle);
  const dot = (v[0] * ax + v[1] * ay + v[2] * az) * (1 - c);
  return [
    v[0] * c + (ay * v[2] - az * v[1]) * s + ax * dot,
    v[1] * c + (az * v[0] - ax * v[2]) * s + ay * dot,
    v[2] * c + (ax * v[1] - ay * v[0]) * s + az * dot,
  ];
}

const points = (list) => list.map((p) => project(p).slice(0, 2).map((n) => n.toFixed(1)).join(",")).join(" ");

function make(parent, name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent.append(node);
  return node;
}

function box(parent, [x0, x1], [y0, y1], [z0, z1], name) {
  make(parent, "polygon", { class: `${name} side`, points: points([[x1, y0, z0], [x1, y0, z1], [x1, y1, z1], [x1, y1, z0]]) });
  make(parent, "polygon", { class: `${name} front`, points: points([[x0, y0, z0], [x1, y0, z0], [x1, y1, z0], [x0, y1, z0]]) });
  make(parent, "polygon", { class: `${name} top`, points: points([[x0, y1, z0], [x1, y1, z0], [x1, y1, z1], [x0, y1, z1]]) });
}

const ease = (t) => (t < 0.5 ? 2 * t * t : 1 - (2 - 2 * t) ** 2 / 2);

export class Scene {
  constructor(svg) {
    this.svg = svg;
    this.angle = this.from = this.to = 0;
    this.began = -1e9;
    this.people = new Map();
    this.frame = 0;
    this.last = 0;
  }

  build(lane, words) {
    this.svg.replaceChildren();
    this.people.clear();
    this.built = lane;
    const back = make(this.svg, "g", {});
    make(back, "polygon", { class: "floor", points: points([[-1.3, 0, -1.75], [1.5, 0, -1.75], [1.5, 0, 2.2], [-1.3, 0, 2.2]]) });
    make(back, "polygon", { class: "way", points: points([[0, 0, -1.75], [0.8, 0, -1.75], [0.8, 0, 2.2], [0, 0, 2.2]]) });
    this.marks = {
      entry: make(back, "polygon", { class: "mark", points: points([[0.24, 0, -1.32], [0.56, 0, -1.32], [0.4, 0, -0.98]]) }),
      exit: make(back, "polygon", { class: "mark", points: points([[0.24, 0, 1.5], [0.56, 0, 1.5], [0.4, 0, 1.16]]) }),
    };
    this.marks.exit.toggleAttribute("hidden", lane === 2);
    // Far wall of the way, then whoever is beyond the arm, the arm, the cabinet, whoever is before it.
    const rail = make(this.svg, "g", {});
    box(rail, [0.86, 0.92], [0, 0.76], [-0.5, 0.5], "rail");
    this.beyond = make(this.svg, "g", {});
    this.armsBehind = make(this.svg, "g", {});
    const cabinet = make(this.svg, "g", {});
    box(cabinet, [-0.5, -0.1], [0, 0.86], [-0.56, 0.56], "cabinet");
    this.lamps = {
      entry: this.lamp(cabinet, [-0.3, 0.86, -0.34]),
      exit: this.lamp(cabinet, [-0.3, 0.86, 0.34]),
    };
    this.lamps.exit.group.toggleAttribute("hidden", lane === 2);
    make(cabinet, "polygon", { class: "glass", points: points([[-0.42, 0.54, -0.561], [-0.18, 0.54, -0.561], [-0.18, 0.76, -0.561], [-0.42, 0.76, -0.561]]) });
    this.armsFront = make(this.svg, "g", {});
    this.arms = ARMS.map((_, index) => make(this.armsFront, "line", { class: "arm", "data-arm": index }));
    const [hx, hy] = project(HUB);
    make(this.armsFront, "circle", { class: "hub", cx: hx, cy: hy, r: 11 });
    this.before = make(this.svg, "g", {});
    const [ix, iy] = project([0.4, 0, -1.62]);
    make(back, "text", { class: "sign", x: ix, y: iy }).textContent = words.entry_way;
    if (lane === 1) {
      const [ox, oy] = project([0.4, 0, 1.78]);
      make(back, "text", { class: "sign", x: ox, y: oy }).textContent = words.exit_way;
    }
    this.draw();
  }

  lamp(parent, at) {
    const [x, y] = project(at);
    const group = make(parent, "g", { class: "lamp", transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
    make(group, "ellipse", { class: "glow", rx: 24, ry: 14 });
    make(group, "ellipse", { class: "lens", rx: 11, ry: 6.5 });
    return { group };
  }

  /** Show a lane's state as the venue tells it. */
  show(lane, powered, words) {
    if (this.built !== lane.id) {
      this.build(lane.id, words);
      this.angle = this.from = this.to = lane.turned;
    }
    this.svg.classList.toggle("dark", !powered);
    for (const way of ["entry", "exit"]) {
      const state = !powered ? "off" : lane.released.includes(way) ? "go" : lane.ready && !lane.alarm ? "stop" : "off";
      this.lamps[way].group.setAttribute("class", `lamp ${state}`);
      this.marks[way].setAttribute("class", `mark ${state}`);
    }
    if (lane.turned !== this.to) {
      this.from = this.angle;
      this.to = lane.turned;
      this.began = performance.now();
    }
    this.svg.dataset.turned = lane.turned;
    this.svg.dataset.released = lane.released.join(" ");
    for (const person of lane.people) this.place(person);
    const there = new Set(lane.people.map((person) => person.number));
    for (const [number, person] of this.people) if (!there.has(number)) person.gone = true;
    this.start();
  }

  place({ number, way, phase }) {
    let person = this.people.get(number);
    if (!person) {
      const group = make(this.before, "g", { class: "person" });
      make(group, "ellipse", { class: "shadow", rx: 17, ry: 7 });
      make(group, "path", { class: "body", d: "M-13 0C-14-34-12-58 0-58S14-34 13 0Q0 5-13 0Z" });
      make(group, "circle", { class: "head", cy: -70, r: 11 });
      make(group, "rect", { class: "ticket", x: 7, y: -46, width: 9, height: 13, rx: 2 });
      person = { group, way, at: -1.6, opacity: 0, gone: false };
      person.began = performance.now();
      person.from = person.to = -1.6;
      this.people.set(number, person);
    }
    const goal = { shows: -0.95, waits: -0.75, stays: -0.7, walks: -0.42, through: 1.45, leaves: -1.6 }[phase];
    if (goal !== person.to) {
      person.from = person.at;
      person.to = goal;
      person.began = performance.now();
    }
    person.phase = phase;
  }

  start() {
    if (!this.frame) this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  tick(now) {
    this.frame = 0;
    let busy = false;
    const part = (began, length) => (calm.matches ? 1 : Math.min(1, Math.max(0, (now - began) / length)));
    const turn = part(this.began, TURN_MS);
    this.angle = this.from + (this.to - this.from) * ease(turn);
    busy ||= turn < 1;
    const step = calm.matches ? 1 : Math.min(1, (now - this.last) / 260);
    this.last = now;
    for (const [number, person] of this.people) {
      const walked = part(person.began, person.phase === "through" ? STEP_MS * 1.4 : STEP_MS);
      person.at = person.from + (person.to - person.from) * ease(walked);
      const goal = person.gone || (walked >= 1 && ["through", "leaves"].includes(person.phase)) ? 0 : 1;
      person.opacity += (goal - person.opacity) * step;
      busy ||= walked < 1 || Math.abs(goal - person.opacity) > 0.02;
      if (person.gone && person.opacity < 0.03) {
        person.group.remove();
        this.people.delete(number);
      }
    }
    this.draw();
    if (busy) this.start();
  }

  draw() {
    // An angle counts in passages: each turns the arms by a third. Walking in pushes the lying arm towards +z.
    const angle = this.angle * ((2 * Math.PI) / 3);
    ARMS.forEach((arm, index) => {
      const end = turned(arm, angle).map((n, axis) => HUB[axis] + n * ARM_M);
      const [x1, y1] = project(HUB), [x2, y2] = project(end);
      const line = this.arms[index];
      for (const [key, value] of Object.entries({ x1, y1, x2, y2 })) line.setAttribute(key, value.toFixed(1));
      (end[2] > 0.12 ? this.armsBehind : this.armsFront).prepend(line);
    });
    for (const person of this.people.values()) {
      const z = person.way === "exit" ? -person.at : person.at;
      const [x, y, depth] = project([0.46, 0, z]);
      person.group.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${(1.5 - depth * 0.1).toFixed(3)})`);
      person.group.style.setProperty("opacity", person.opacity.toFixed(2));
      const home = z > 0 ? this.beyond : this.before;
      if (person.group.parentNode !== home) home.append(person.group);
    }
  }
}
