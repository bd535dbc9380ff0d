// The part, to be looked at and picked from: faces by hover and click, hidden, cut open, measured; loads drawn on it.
import * as THREE from "three";
import { acceleratedRaycast, MeshBVH } from "three-mesh-bvh";
import { bytes, npz } from "./data.js";
import { List } from "./list.js";
import { hasWebGL, make, Stage } from "./stage.js";

const PLAIN = [0.76, 0.79, 0.83];
const PICKED = [0.98, 0.55, 0.13];
const HOVER = [0.45, 0.68, 0.95];

// Triangles sorted by face, with normals that are smooth within a face and break at its edge.
function surface(arrays) {
  const { points, triangles, face, edges } = arrays;
  const order = Array.from(face.keys()).sort((a, b) => face[a] - face[b]);
  const position = [];
  const normal = [];
  const index = new Uint32Array(triangles.length);
  const faces = new Map(); // face -> {from, to} of triangles, {first, last} of corners
  const [a, b, c, n] = [0, 1, 2, 3].map(() => new THREE.Vector3());
  let t = 0;
  for (let i = 0; i < order.length; ) {
    const id = face[order[i]];
    const known = new Map();
    const part = { from: t, first: position.length / 3 };
    for (; i < order.length && face[order[i]] === id; i++, t++) {
      const corners = [0, 1, 2].map((k) => triangles[3 * order[i] + k]);
      [a, b, c].forEach((v, k) => v.fromArray(points, 3 * corners[k]));
      n.crossVectors(b.sub(a), c.sub(a)); // as long as the triangle is large
      corners.forEach((p, k) => {
        let at = known.get(p);
        if (at === undefined) {
          at = position.length / 3;
          known.set(p, at);
          position.push(points[3 * p], points[3 * p + 1], points[3 * p + 2]);
          normal.push(0, 0, 0);
        }
        index[3 * t + k] = at;
        for (let j = 0; j < 3; j++) normal[3 * at + j] += n.getComponent(j);
      });
    }
    faces.set(id, { ...part, to: t, last: position.length / 3 });
  }
  for (let i = 0; i < normal.length; i += 3) {
    const length = Math.hypot(normal[i], normal[i + 1], normal[i + 2]) || 1;
    for (let j = 0; j < 3; j++) normal[i + j] /= length;
  }
  const lines = new Float32Array(3 * edges.length);
  edges.forEach((p, i) => lines.set([points[3 * p], points[3 * p + 1], points[3 * p + 2]], 3 * i));
  return { position: new Float32Array(position), normal: new Float32Array(normal), index, faces, lines };
}

// Drawn over the part: an arrow in a hole is to be seen as well.
function arrow(start, along, length, colour) {
  const material = new THREE.MeshBasicMaterial({ color: colour, depthTest: false, transparent: true });
  const shaft = new THREE.CylinderGeometry(0.035 * length, 0.035 * length, 0.7 * length, 12).translate(0, 0.35 * length, 0);
  const head = new THREE.ConeGeometry(0.1 * length, 0.3 * length, 18).translate(0, 0.85 * length, 0);
  const group = new THREE.Group();
  group.add(new THREE.Mesh(shaft, material), new THREE.Mesh(head, material));
  group.children.forEach((part) => (part.renderOrder = 10));
  group.position.copy(start);
  group.quaternion.setFromUnitVectors(new THREE.Vector3(0, 1, 0), along);
  return group;
}

class Part {
  constructor(root) {
    this.root = root;
    this.picked = new Set();
    this.hidden = new Set();
    this.hover = null;
    this.measuring = null;
    this.host = root.querySelector(".stage");
    this.tip = make("div", "tip");
    this.tools = root.querySelector(".tools");
    this.list = new List(root.querySelector(".faces"), this.picked, () => this.changed());
    if (hasWebGL()) {
      this.stage = new Stage(this.host);
      this.host.append(this.tip);
      this.listen();
    }
  }

  listen() {
    const { stage } = this;
    stage.canvas.addEventListener("pointermove", (e) => e.buttons === 0 && this.over(this.faceAt(e), e));
    stage.canvas.addEventListener("pointerleave", () => this.over(null));
    stage.onclick((event) => {
      if (this.measuring) return this.measure(event);
      const face = this.faceAt(event);
      if (face === null) return;
      if (event.altKey) this.data.faces[face].alike.forEach((i) => this.picked.add(i));
      else if (!this.picked.delete(face)) this.picked.add(face);
      this.changed();
    });
    stage.canvas.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        this.picked.clear();
        this.changed();
      }
    });
  }

  faceAt(event) {
    const shown = this.hidden.size ? (h) => !this.hidden.has(this.owner[h.faceIndex]) : null;
    const hit = this.mesh && this.stage.hit(event, [this.mesh], shown);
    return hit ? this.owner[hit.faceIndex] : null;
  }

  over(face, event) {
    if (face === null) this.tip.hidden = true;
    else {
      const { number, what, area, names } = this.data.faces[face];
      this.tip.hidden = false;
      this.tip.textContent = [`${this.data.words.face} ${number}`, what, area, names].filter(Boolean).join(" · ");
      const box = this.host.getBoundingClientRect();
      this.tip.style.left = `${Math.min(event.clientX - box.left + 14, box.width - 190)}px`;
      this.tip.style.top = `${event.clientY - box.top + 16}px`;
    }
    if (face === this.hover) return;
    this.hover = face;
    this.stage.canvas.style.cursor = face === null ? "grab" : "pointer";
    this.paint();
  }

  changed() {
    this.list.draw();
    this.paint();
    this.tell([...this.picked].sort((a, b) => a - b));
  }

  update(data, tell) {
    this.data = data;
    this.tell = tell;
    if (this.asked !== data.asked) {
      this.asked = data.asked; // another condition: other picks
      this.picked.clear();
      data.first.forEach((i) => this.picked.add(i));
    }
    this.list.update(data);
    if (!this.stage) {
      if (!this.host.childElementCount) {
        const picture = make("img");
        picture.src = this.data.picture;
        picture.alt = this.data.words.whole;
        this.host.append(picture);
      }
      this.tools.hidden = true;
      this.root.querySelector(".viewer").dataset.ready = "list";
      return;
    }
    this.stage.name(data.words.view);
    if (this.address !== data.surface) this.load(data.surface);
    else if (this.mesh) this.dress();
    this.drawTools();
  }

  async load(address) {
    this.address = address;
    const said = make("div", "said", this.data.words.loading);
    this.host.append(said);
    try {
      const made = surface(npz(await bytes(address)));
      if (this.address !== address) return;
      this.build(made);
      said.remove();
    } catch (error) {
      said.textContent = `${this.data.words.unreadable} (${error.message})`;
    }
  }

  build({ position, normal, index, faces, lines }) {
    if (this.mesh) this.stage.scene.remove(this.mesh, this.lines);
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(position, 3));
    geometry.setAttribute("normal", new THREE.BufferAttribute(normal, 3));
    geometry.setAttribute("color", new THREE.BufferAttribute(new Uint8Array(position.length), 3, true));
    geometry.setIndex(new THREE.BufferAttribute(index, 1));
    this.full = index.slice();
    this.ranges = faces;
    this.owner = new Int32Array(index.length / 3);
    faces.forEach(({ from, to }, id) => this.owner.fill(id, from, to));
    if (index.length > 150_000) geometry.boundsTree = new MeshBVH(geometry, { indirect: true });
    const offset = { polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1 };
    this.mesh = new THREE.Mesh(
      geometry,
      new THREE.MeshStandardMaterial({ vertexColors: true, roughness: 0.72, metalness: 0.05, ...offset }),
    );
    // what is seen of the inside is of one colour, so that a part that is cut open looks filled
    if (this.inside) this.stage.scene.remove(this.inside);
    this.inside = new THREE.Mesh(
      geometry,
      new THREE.MeshBasicMaterial({ color: 0xd9a86c, side: THREE.BackSide, ...offset }),
    );
    this.stage.scene.add(this.inside);
    if (geometry.boundsTree) this.mesh.raycast = acceleratedRaycast;
    const edge = new THREE.BufferGeometry();
    edge.setAttribute("position", new THREE.BufferAttribute(lines, 3));
    this.lines = new THREE.LineSegments(edge, new THREE.LineBasicMaterial({ color: 0x2b3440 }));
    this.stage.scene.add(this.mesh, this.lines);
    geometry.computeBoundingBox();
    this.stage.resize();
    this.stage.fit(geometry.boundingBox.min.toArray(), geometry.boundingBox.max.toArray());
    this.dress();
    this.root.querySelector(".viewer").dataset.ready = "3d";
  }

  paint() {
    if (!this.mesh) return;
    const colour = this.mesh.geometry.attributes.color;
    const marked = new Map();
    for (const mark of this.data.marks ?? []) for (const i of mark.faces) marked.set(i, mark.colour);
    this.ranges.forEach(({ first, last }, id) => {
      let c = marked.has(id) ? new THREE.Color(marked.get(id)).convertLinearToSRGB().toArray() : PLAIN;
      if (this.picked.has(id)) c = PICKED;
      if (this.hover === id) c = this.picked.has(id) ? [1, 0.68, 0.38] : HOVER;
      const [r, g, b] = c.map((share) => 255 * share);
      for (let v = 3 * first; v < 3 * last; v += 3) {
        colour.array[v] = r;
        colour.array[v + 1] = g;
        colour.array[v + 2] = b;
      }
    });
    colour.needsUpdate = true;
    this.stage.draw();
  }

  // Loads and supports: an arrow and its text at the middle of the faces.
  dress() {
    this.stage.clearLabels();
    if (this.arrows) this.stage.scene.remove(this.arrows);
    this.arrows = new THREE.Group();
    for (const mark of this.data.marks ?? []) {
      if (!mark.at) continue;
      const at = new THREE.Vector3(...mark.at);
      const tag = this.stage.label(mark.at, mark.text, "label load");
      tag.style.borderColor = mark.colour;
      if (!mark.along) continue;
      const along = new THREE.Vector3(...mark.along).normalize();
      const length = 0.2 * this.stage.size;
      const start = at.clone().addScaledVector(along, mark.into ? -length : 0);
      this.arrows.add(arrow(start, along, length, mark.colour));
      this.stage.placed.at(-1).at = start.clone().addScaledVector(along, mark.into ? -0.06 * length : 1.15 * length);
    }
    this.stage.scene.add(this.arrows);
    this.paint();
  }

  drawTools() {
    const { words } = this.data;
    if (this.spoken === words.whole) return;
    this.spoken = words.whole;
    this.tools.replaceChildren();
    const button = (text, act, title) => {
      const made = make("button", "", text);
      made.type = "button";
      made.title = title ?? text;
      made.addEventListener("click", act);
      this.tools.append(made);
      return made;
    };
    button(words.whole, () => {
      this.stage.look([1.0, -1.35, 0.85]);
    });
    const axis = make("select");
    axis.setAttribute("aria-label", words.section);
    for (const [value, text] of [["", words.section], ["0", "x"], ["1", "y"], ["2", "z"]]) {
      const option = make("option", "", text);
      option.value = value;
      axis.append(option);
    }
    const share = make("input");
    Object.assign(share, { type: "range", min: 0, max: 1, step: 0.005, value: 0.5, hidden: true });
    share.setAttribute("aria-label", words.section);
    const cut = () => {
      share.hidden = axis.value === "";
      this.stage.section(axis.value === "" ? null : Number(axis.value), Number(share.value));
    };
    axis.addEventListener("change", cut);
    share.addEventListener("input", cut);
    this.tools.append(axis, share);
    button(words.hide, () => {
      this.picked.forEach((i) => this.hidden.add(i));
      this.showHidden();
    });
    button(words.show, () => {
      this.hidden.clear();
      this.showHidden();
    });
    const ruler = button(words.measure, () => {
      this.measuring = this.measuring ? null : [];
      ruler.setAttribute("aria-pressed", String(Boolean(this.measuring)));
      this.clearRuler();
    });
  }

  showHidden() {
    const index = this.mesh.geometry.index;
    index.array.set(this.full);
    this.hidden.forEach((id) => {
      const { from, to } = this.ranges.get(id) ?? {};
      if (from !== undefined) index.array.fill(this.full[3 * from], 3 * from, 3 * to); // triangles without area
    });
    index.needsUpdate = true;
    this.stage.draw();
  }

  clearRuler() {
    if (this.ruler) this.stage.scene.remove(this.ruler);
    this.stage.placed = this.stage.placed.filter(({ element }) => !element.matches(".measure") || element.remove());
    this.stage.draw();
  }

  measure(event) {
    const hit = this.stage.hit(event, [this.mesh]);
    if (!hit) return;
    if (this.measuring.length === 2) this.measuring = [];
    this.measuring.push(hit.point.clone());
    this.clearRuler();
    if (this.measuring.length < 2) return;
    const [a, b] = this.measuring;
    const line = new THREE.BufferGeometry().setFromPoints([a, b]);
    this.ruler = new THREE.Line(line, new THREE.LineBasicMaterial({ color: 0xb3261e, depthTest: false }));
    this.stage.scene.add(this.ruler);
    const long = (1e3 * a.distanceTo(b)).toPrecision(4).replace(".", this.data.words.decimal);
    this.stage.label(a.clone().add(b).multiplyScalar(0.5).toArray(), `${long} mm`, "label measure");
    this.stage.draw();
  }

  // For tests: where a click meets a face.
  screenOf(id) {
    const { from, to } = this.ranges.get(id);
    const { array } = this.mesh.geometry.attributes.position;
    const corners = this.full;
    for (let t = from; t < to; t++) {
      const middle = [0, 1, 2].map((j) => [0, 1, 2].reduce((s, k) => s + array[3 * corners[3 * t + k] + j] / 3, 0));
      const { x, y } = this.stage.onPage(middle);
      if (this.faceAt({ clientX: x, clientY: y }) === id) return [x, y];
    }
    return null;
  }

  dispose() {
    this.stage?.dispose();
  }
}

const parts = new WeakMap();

export function part({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".part");
  if (!parts.has(root)) parts.set(root, new Part(root));
  const shown = parts.get(root);
  root.__part = shown;
  shown.update(data, (faces) => setStateValue("picked", { asked: shown.asked, faces }));
  return () => {
    shown.dispose();
    parts.delete(root);
  };
}
