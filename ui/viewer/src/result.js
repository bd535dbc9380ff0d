// A result to be looked at: fields on the skin and inside, deformation, section, surfaces of equal value, streamlines,
// what moves in time, values by a click.
import * as THREE from "three";
import { CLIP_F, CLIP_V, COLOUR, MAPS, table } from "./colours.js";
import { bytes, packed } from "./data.js";
import { Grains } from "./grains.js";
import { Inside } from "./inside.js";
import { hasWebGL, make, Stage } from "./stage.js";

const linked = new Map(); // group -> stages that turn together

class Result {
  constructor(root) {
    this.root = root;
    this.host = root.querySelector(".stage");
    this.tools = root.querySelector(".tools");
    this.scale = root.querySelector(".scale");
    if (!hasWebGL()) return;
    this.stage = new Stage(this.host);
    this.stage.renderer.outputColorSpace = THREE.LinearSRGBColorSpace;
    this.uniforms = {
      colours: { value: table(MAPS.viridis) }, range: { value: new THREE.Vector2(0, 1) }, warp: { value: 0 },
      low: { value: new THREE.Vector3() }, span: { value: new THREE.Vector3(1, 1, 1) }, pixel: { value: 500 },
      radius: { value: 1 }, kinds: { value: 0 },
    }; // prettier-ignore
    this.stage.onclick((event) => this.probe(event));
    this.stage.before = () => {
      const { renderer, camera } = this.stage;
      const height = this.host.clientHeight * renderer.getPixelRatio();
      this.uniforms.pixel.value = height / (2 * Math.tan((camera.fov * Math.PI) / 360));
    };
    this.stage.onview = () => this.turnOthers();
  }

  update(data) {
    this.data = data;
    if (!this.stage) {
      this.host.hidden = true;
      this.scale.textContent = data.words.noWebGL;
      this.root.dataset.ready = "none";
      return;
    }
    this.stage.name(data.words.view);
    if (data.link !== this.link) {
      linked.get(this.link)?.delete(this);
      this.link = data.link;
      if (this.link) linked.set(this.link, (linked.get(this.link) ?? new Set()).add(this));
    }
    if (this.address !== data.address) this.load(data.address);
    else if (this.head && this.spoken !== data.language) this.speak();
  }

  // The page speaks another language now: everything written anew, as it was set.
  speak() {
    const kept = new Map([...this.tools.querySelectorAll("select, input")].map((e, i) => [i, [e.value, e.checked]]));
    const ends = [this.from.value, this.to.value].map((text) => text.replace(/[.,]/, this.data.words.decimal));
    const field = this.field;
    this.playing = false;
    this.stage.clearLabels();
    this.controls();
    this.choose(field);
    [...this.tools.querySelectorAll("select, input")].forEach((element, i) => {
      const [value, checked] = kept.get(i) ?? [element.value, element.checked];
      if (element.value === value && element.checked === checked) return;
      Object.assign(element, { value, checked });
      element.dispatchEvent(new Event(element.type === "range" ? "input" : "change"));
    });
    [this.from.value, this.to.value] = ends;
    this.rescale();
  }

  async load(address) {
    this.address = address;
    const said = make("div", "said", this.data.words.loading);
    this.host.append(said);
    try {
      performance.mark("result-asked");
      const content = await bytes(address);
      performance.mark("result-here");
      const { head, arrays } = await packed(content);
      if (this.address !== address) return;
      performance.mark("result-unpacked");
      said.remove();
      this.build(head, arrays);
      performance.mark("result-built");
    } catch (error) {
      said.textContent = `${this.data.words.unreadable} (${error.message})`;
    }
  }

  build(head, arrays) {
    this.head = head;
    this.arrays = arrays;
    const { stage, uniforms } = this;
    const span = head.high.map((v, i) => (v > head.low[i] ? v - head.low[i] : 1));
    uniforms.low.value.set(...head.low);
    uniforms.span.value.set(...span);
    const place = (width) => new THREE.BufferAttribute(width, 3, true);
    if (arrays.triangles) {
      const geometry = new THREE.BufferGeometry();
      const placed = head.poses ? new THREE.BufferAttribute(new Float32Array(arrays.points.length), 3) : place(arrays.points);
      geometry.setAttribute("position", placed);
      const none = new Int16Array(arrays.points.length);
      geometry.setAttribute("moved", new THREE.BufferAttribute(arrays.warp ?? none, 3, true));
      geometry.setIndex(new THREE.BufferAttribute(arrays.triangles, 1));
      const material = new THREE.ShaderMaterial({
        uniforms, side: THREE.DoubleSide, clipping: true,
        polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1,
        vertexShader: `${CLIP_V} attribute vec3 moved; attribute float value; uniform vec3 low, span; uniform float warp;
          varying float v; varying vec3 seen;
          void main() {
            vec4 mvPosition = modelViewMatrix * vec4(low + position * span + moved * warp, 1.);
            v = value; seen = mvPosition.xyz;
            #include <clipping_planes_vertex>
            gl_Position = projectionMatrix * mvPosition;
          }`,
        fragmentShader: `${COLOUR} ${CLIP_F} uniform float faint; varying float v; varying vec3 seen;
          void main() {
            #include <clipping_planes_fragment>
            vec3 n = normalize(cross(dFdx(seen), dFdy(seen)));
            gl_FragColor = vec4(coloured(v) * (.62 + .38 * abs(n.z)), faint);
          }`,
      }); // prettier-ignore
      material.uniforms = { ...uniforms, faint: { value: 1 } };
      this.skin = new THREE.Mesh(geometry, material);
      this.skin.frustumCulled = false;
      stage.scene.add(this.skin);
      const rim = new THREE.BufferGeometry();
      const ends = Float32Array.from(arrays.edges, (v, i) => head.low[i % 3] + (v / 65535) * span[i % 3]);
      rim.setAttribute("position", new THREE.BufferAttribute(ends, 3));
      this.rim = new THREE.LineSegments(rim, new THREE.LineBasicMaterial({ color: 0x2b3440, transparent: true, opacity: 0.65 }));
      stage.scene.add(this.rim);
    }
    if (arrays.line_steps) {
      const geometry = new THREE.BufferGeometry();
      geometry.setAttribute("position", place(arrays.line_points));
      geometry.setAttribute("value", new THREE.BufferAttribute(arrays.line_values, 1, true));
      geometry.setIndex(new THREE.BufferAttribute(arrays.line_steps, 1));
      const material = new THREE.ShaderMaterial({
        uniforms: { ...uniforms, range: { value: new THREE.Vector2(0, 1) } }, clipping: true,
        vertexShader: `${CLIP_V} attribute float value; uniform vec3 low, span; varying float v;
          void main() { vec4 mvPosition = modelViewMatrix * vec4(low + position * span, 1.); v = value;
            #include <clipping_planes_vertex>
            gl_Position = projectionMatrix * mvPosition; }`,
        fragmentShader: `${COLOUR} ${CLIP_F} varying float v;
          void main() {
            #include <clipping_planes_fragment>
            gl_FragColor = vec4(coloured(v), 1.); }`,
      }); // prettier-ignore
      this.lines = new THREE.LineSegments(geometry, material);
      this.lines.frustumCulled = false;
      this.lines.visible = false;
      stage.scene.add(this.lines);
    }
    if (arrays.inside && this.skin) {
      this.inside = new Inside(head, arrays, uniforms, this.skin);
      stage.scene.add(...this.inside.parts);
    }
    if (arrays.film_values) this.buildFilm();
    if (arrays.grain_places) {
      this.grains = new Grains(head, arrays, uniforms);
      stage.scene.add(this.grains);
      this.moment(head.grains.times.length - 1);
    }
    stage.resize();
    stage.fit(head.low, head.high);
    this.controls();
    this.choose(0);
    const first = head.scalars?.[0]?.section;
    if (first && this.inside) this.cutAt(...first);
    requestAnimationFrame(() => requestAnimationFrame(() => (this.root.dataset.ready = "3d")));
  }

  // A flat section over time, with its own colours; shown in the place of the skin.
  buildFilm() {
    const { head, arrays, uniforms } = this;
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(arrays.film_points, 3, true));
    geometry.setAttribute("moved", new THREE.BufferAttribute(new Int16Array(arrays.film_points.length), 3, true));
    geometry.setAttribute("value", new THREE.BufferAttribute(new Uint16Array(arrays.film_points.length / 3), 1, true));
    geometry.setIndex(new THREE.BufferAttribute(arrays.film_triangles, 1));
    const material = this.skin.material.clone();
    material.uniforms = { ...uniforms, faint: { value: 1 }, warp: { value: 0 } };
    this.film = new THREE.Mesh(geometry, material);
    this.film.frustumCulled = false;
    this.film.visible = false;
    this.stage.scene.add(this.film);
    this.filmAt(head.film.times.length - 1);
  }

  filmAt(k) {
    const { arrays, head } = this;
    const { value } = this.film.geometry.attributes;
    const scale = 65535 / head.film.steps;
    const from = k * value.array.length;
    for (let i = 0; i < value.array.length; i++) value.array[i] = Math.round(scale * arrays.film_values[from + i]);
    value.needsUpdate = true;
    this.now = k;
    this.stage.draw();
  }

  // The grains at one of the moments, and the walls as they stood then.
  moment(k) {
    this.grains.moment(k);
    if (this.skin && this.head.poses) this.stand(this.head.poses[k]);
    this.now = k;
    this.stage.draw();
  }

  // Moves every wall from where it stands at the end; poses: wall -> three rows of rotation and shift [m].
  stand(poses) {
    const { low, high } = this.head;
    const span = high.map((v, i) => (v > low[i] ? v - low[i] : 1));
    const move = (target, shares, walls, size) => {
      for (let n = 0; n < walls.length; n++) {
        const pose = poses[walls[n]];
        const [x, y, z] = [0, 1, 2].map((i) => low[i] + (shares[3 * n + i] / 65535) * span[i]);
        for (let i = 0; i < 3; i++) {
          const at = pose[4 * i] * x + pose[4 * i + 1] * y + pose[4 * i + 2] * z + pose[4 * i + 3];
          target.array[3 * n + i] = size ? (at - low[i]) / span[i] : at;
        }
      }
      target.needsUpdate = true;
    };
    move(this.skin.geometry.attributes.position, this.arrays.points, this.arrays.wall, true);
    move(this.rim.geometry.attributes.position, this.arrays.edges, this.arrays.edge_wall, false);
  }

  // A field by its number; "film": the one that moves in time.
  choose(number) {
    this.field = number;
    const filmed = number === "film";
    const scalar = filmed ? this.head.film : this.head.scalars?.[number];
    this.shown = scalar;
    if (scalar && this.skin && !filmed) {
      const values = this.arrays[scalar.array];
      this.skin.geometry.setAttribute("value", new THREE.BufferAttribute(values, 1, true));
      this.inside?.choose(number);
    }
    if (this.film) {
      this.film.visible = filmed;
      this.skin.visible = !filmed;
      this.onfilm?.(filmed);
    }
    if (this.inside && scalar) this.relevel();
    this.from.value = this.said(scalar?.low);
    this.to.value = this.said(scalar?.high);
    this.rescale();
  }

  said(value) {
    if (value === undefined) return "";
    if (Math.abs(value) < 1e-9 * Math.max(Math.abs(this.shown?.low ?? 0), Math.abs(this.shown?.high ?? 0))) return "0";
    const text = Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(3) : String(+value.toPrecision(4));
    return text.replace(".", this.data.words.decimal);
  }

  number(text) {
    return Number(text.trim().replace(",", "."));
  }

  // The colours go from one typed value to the other; nothing is loaded again.
  rescale() {
    const about = this.shown ?? this.head.lines ?? this.head.grains;
    const { low, high } = about ?? { low: 0, high: 1 };
    const [from, to] = [this.number(this.from.value), this.number(this.to.value)];
    if (this.shown && Number.isFinite(from) && Number.isFinite(to) && to > from)
      this.uniforms.range.value.set((from - low) / (high - low || 1), (to - low) / (high - low || 1));
    const stops = MAPS[this.map.value].map((c) => `rgb(${c})`);
    this.bar.style.background = `linear-gradient(to right, ${stops})`;
    const title = about?.title?.[this.data.language] ?? about?.title?.en ?? "";
    this.name.textContent = about?.unit ? `${title} [${about.unit}]` : title;
    this.stage.draw();
  }

  controls() {
    const { words } = this.data;
    const { head } = this;
    this.spoken = this.data.language;
    this.tools.replaceChildren();
    this.scale.replaceChildren();
    const field = (label, element) => {
      const wrap = make("label", "", label);
      wrap.append(element);
      this.tools.append(wrap);
      return element;
    };
    const pick = (label, options, act) => {
      const made = make("select");
      options.forEach(([value, text]) => {
        const option = make("option", "", text);
        option.value = value;
        made.append(option);
      });
      made.addEventListener("change", () => act(made.value));
      return field(label, made);
    };
    const slide = (label, options, act) => {
      const made = make("input");
      Object.assign(made, { type: "range", ...options });
      made.addEventListener("input", () => act(Number(made.value)));
      return field(label, made);
    };
    const title = (of) => of.title?.[this.data.language] ?? of.title?.en ?? of.name;
    const fields = (head.scalars ?? []).map((s, i) => [String(i), title(s)]);
    if (head.film) fields.push(["film", title(head.film)]);
    if (fields.length > 1) pick(words.field, fields, (i) => this.choose(i === "film" ? i : Number(i)));
    this.map = make("select");
    for (const name of Object.keys(MAPS)) this.map.append(make("option", "", name));
    this.map.addEventListener("change", () => {
      this.uniforms.colours.value = table(MAPS[this.map.value]);
      [this.lines, this.grains].forEach((o) => o && (o.material.uniforms.colours.value = this.uniforms.colours.value));
      if (this.skin) this.skin.material.uniforms.colours.value = this.uniforms.colours.value;
      this.rescale();
    });
    field(words.colours, this.map);
    if (head.warp) {
      const size = Math.hypot(...head.high.map((v, i) => v - head.low[i]));
      const full = (0.2 * size) / head.warp.largest; // the largest displacement drawn as a fifth of the part
      const shown = make("output");
      const made = slide(words.deformation, { min: 0, max: 1, step: 0.005, value: 0 }, (share) => {
        const factor = share * full;
        this.uniforms.warp.value = factor * head.warp.largest;
        shown.textContent = `×${factor < 10 ? factor.toFixed(1) : Math.round(factor)}`;
        if (this.rim) this.rim.visible = factor === 0;
        this.stage.draw();
      });
      shown.textContent = "×0";
      made.parentElement.append(shown);
    }
    const share = make("input");
    Object.assign(share, { type: "range", min: 0, max: 1, step: 0.005, value: 0.5, hidden: true });
    share.setAttribute("aria-label", words.section);
    const ways = [["", "–"], ["0", "x"], ["1", "y"], ["2", "z"], ["0-", "−x"], ["1-", "−y"], ["2-", "−z"]]; // prettier-ignore
    const axis = pick(words.section, head.flat ? ways.filter(([v]) => !v.startsWith("2")) : ways, () => cut());
    const cut = () => {
      share.hidden = axis.value === "";
      this.stage.section(axis.value === "" ? null : Number(axis.value[0]), Number(share.value), axis.value.endsWith("-"));
      const bare = axis.value === "" || this.film?.visible || this.seeThrough();
      this.inside?.cut(bare ? null : this.stage.plane);
    };
    this.recut = cut;
    this.cutAt = (along, at) => {
      // the eye is at -y: what is nearest to it goes
      Object.assign(axis, { value: along === 1 ? "1-" : String(along) });
      share.value = at;
      cut();
    };
    share.addEventListener("input", cut);
    axis.parentElement.append(share);
    if (this.inside) this.levelControls(field);
    if (this.lines) {
      const box = make("input");
      box.type = "checkbox";
      box.addEventListener("change", () => this.showLines(box.checked));
      field(words.streamlines, box);
    }
    if (this.grains && head.grains.times.length > 1) this.timeControls(slide, head.grains.times, (k) => this.moment(k));
    else if (this.film) {
      const wrap = this.timeControls(slide, head.film.times, (k) => this.filmAt(k));
      wrap.hidden = true;
      this.onfilm = (on) => {
        wrap.hidden = !on;
        if (!on) this.playing = false;
        this.recut();
        this.showFaint();
      };
    }
    this.name = make("span", "name");
    this.from = make("input");
    this.to = make("input");
    for (const [input, label] of [[this.from, words.lowest], [this.to, words.highest]]) {
      input.inputMode = "decimal";
      input.setAttribute("aria-label", label);
      input.addEventListener("change", () => this.rescale());
    }
    this.bar = make("span", "bar");
    this.scale.append(this.name, this.from, this.bar, this.to);
    this.from.hidden = this.to.hidden = !(head.scalars ?? []).length;
    this.scale.hidden = Boolean(head.grains?.kinds.length && !head.scalars?.length);
    for (const mark of head.marks ?? []) {
      const name = mark.title?.[this.data.language] ?? mark.title?.en ?? mark.name;
      this.stage.label(mark.at, "", "label dot").title = `${name}: ${mark.text}`;
    }
  }

  // A slider over moments, with a button that lets them go by.
  timeControls(slide, times, show) {
    const { words } = this.data;
    const time = make("output");
    const tell = (k) => (time.textContent = `t = ${this.said(times[k])} s`);
    const go = (k) => {
      show(k);
      tell(k);
    };
    const slider = slide(words.time, { min: 0, max: times.length - 1, step: 1, value: this.now }, go);
    const play = make("button", "", "▶");
    play.type = "button";
    play.setAttribute("aria-label", words.play);
    const step = () => {
      play.textContent = this.playing ? "❚❚" : "▶";
      play.setAttribute("aria-pressed", String(Boolean(this.playing)));
      if (!this.playing) return;
      slider.value = (this.now + 1) % times.length;
      go(Number(slider.value));
      setTimeout(step, 80);
    };
    play.addEventListener("click", () => {
      this.playing = !this.playing;
      if (this.playing) step();
    });
    slider.parentElement.append(time, play);
    tell(this.now);
    return slider.parentElement;
  }

  // A surface of equal value: on or off, and where in the range.
  levelControls(field) {
    const box = make("input");
    box.type = "checkbox";
    const wrap = field(this.data.words.equal, box).parentElement;
    const level = make("input");
    Object.assign(level, { type: "range", min: 0.01, max: 0.99, step: 0.01, value: 0.5, hidden: true });
    level.setAttribute("aria-label", this.data.words.equal);
    const said = make("output");
    this.tellLevel = () => {
      level.hidden = said.hidden = !box.checked;
      const { low, high, unit } = this.shown;
      said.textContent = `${this.said(low + Number(level.value) * (high - low))} ${unit}`;
    };
    const show = () => {
      const { level: drawn } = this.inside;
      drawn.visible = box.checked && !this.film?.visible;
      if (drawn.visible) this.inside.surface(Number(level.value));
      this.tellLevel();
      this.showFaint();
    };
    this.relevel = show;
    box.addEventListener("change", show);
    level.addEventListener("input", show);
    wrap.append(level, said);
    said.hidden = true;
  }

  showLines(on) {
    this.lines.visible = on;
    this.showFaint();
  }

  // Something is shown inside the skin.
  seeThrough() {
    return Boolean(this.lines?.visible || this.inside?.level.visible);
  }

  // Skin and cap hide nothing of what is shown inside.
  showFaint() {
    const on = this.seeThrough();
    this.recut?.();
    if (this.skin) {
      this.skin.material.transparent = on;
      this.skin.material.depthWrite = !on;
      this.skin.material.uniforms.faint.value = on ? 0.14 : 1;
    }
    this.stage.draw();
  }

  // The value at a click, on the skin or on the face of a cut, and the figure with its error bar where one is marked.
  probe(event) {
    this.stage.placed = this.stage.placed.filter(({ element }) => !element.matches(".probe") || element.remove());
    const found = this.skin && this.shown ? this.onCut(event) ?? this.under(event) : null;
    if (!found) return this.stage.draw();
    const { language } = this.data;
    let text = `${this.said(this.shown.low + found.share * (this.shown.high - this.shown.low))} ${this.shown.unit}`;
    const near = (this.head.marks ?? []).find((m) => Math.hypot(...m.at.map((v, i) => v - found.at[i])) < 0.02 * this.stage.size);
    if (near) text += ` · ${near.title?.[language] ?? near.title?.en ?? near.name}: ${near.text}`;
    else if (this.shown.bar && found.bar === null) text += ` · ${this.data.words.noBar}`;
    else if (!this.shown.bar) text += ` · ${this.data.words.never}`;
    else text = text.replace(/( \S*)$/, ` ± ${this.said(+(found.bar * this.shown.bar).toPrecision(2))}$1`);
    this.stage.label(found.shownAt ?? found.at, text, "label probe");
    this.stage.draw();
  }

  // The value on the face of a cut, if that is what is seen under the pointer.
  onCut(event) {
    if (!this.inside?.cap.visible) return null;
    const ray = this.stage.caster(event).ray;
    const at = ray.intersectPlane(this.stage.plane, new THREE.Vector3());
    if (!at) return null;
    const place = this.inside.before(at.toArray(), this.uniforms.warp.value);
    const found = this.inside.valueAt(place);
    if (found === null) return null;
    // the cut is seen from the side that was cut away; from behind, the skin lies before it
    if (this.stage.plane.distanceToPoint(ray.origin) > 0) return null;
    return { ...found, at: place, shownAt: at.toArray() };
  }

  // The corner nearest to the pointer, from what is drawn: triangle numbers as colours of one pixel.
  under(event) {
    const { stage } = this;
    const mesh = this.film?.visible ? this.film : this.skin;
    const box = stage.canvas.getBoundingClientRect();
    const target = new THREE.WebGLRenderTarget(1, 1);
    const material = new THREE.ShaderMaterial({
      uniforms: mesh.material.uniforms, side: THREE.DoubleSide, clipping: true,
      vertexShader: `${CLIP_V} attribute vec3 moved; uniform vec3 low, span; uniform float warp; flat varying int corner;
        void main() {
          vec4 mvPosition = modelViewMatrix * vec4(low + position * span + moved * warp, 1.);
          corner = gl_VertexID;
          #include <clipping_planes_vertex>
          gl_Position = projectionMatrix * mvPosition; }`,
      fragmentShader: `${CLIP_F} flat varying int corner;
        void main() {
          #include <clipping_planes_fragment>
          int k = corner + 1;
          gl_FragColor = vec4(float(k & 255), float((k >> 8) & 255), float((k >> 16) & 255), 255.) / 255.; }`,
    }); // prettier-ignore
    material.clippingPlanes = mesh.material.clippingPlanes;
    const own = mesh.material;
    const others = stage.scene.children.filter((o) => o !== mesh && o !== stage.camera && o.visible);
    others.forEach((o) => (o.visible = false));
    mesh.material = material;
    const ratio = stage.renderer.getPixelRatio();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    stage.camera.setViewOffset(box.width * ratio, box.height * ratio, x * ratio, y * ratio, 1, 1);
    stage.renderer.setRenderTarget(target);
    stage.renderer.clear();
    stage.renderer.render(stage.scene, stage.camera);
    const code = new Uint8Array(4);
    stage.renderer.readRenderTargetPixels(target, 0, 0, 1, 1, code);
    stage.renderer.setRenderTarget(null);
    stage.camera.clearViewOffset();
    mesh.material = own;
    others.forEach((o) => (o.visible = true));
    material.dispose();
    target.dispose();
    const corner = code[0] + 256 * code[1] + 65536 * code[2] - 1;
    if (corner < 0) return null;
    const { head } = this;
    const { position, value } = mesh.geometry.attributes;
    const at = [0, 1, 2].map((i) => head.low[i] + position.getComponent(corner, i) * (head.high[i] - head.low[i]));
    const bars = this.film?.visible ? null : this.arrays[this.shown.array.replace("scalar", "bar")];
    return { corner, at, share: value.array[corner] / 65535, bar: bars?.[corner] === 255 ? null : ((bars?.[corner] ?? 0) / 254) ** 2 };
  }

  turnOthers() {
    if (!this.link || this.turned) return;
    const away = this.stage.camera.position.clone().sub(this.stage.controls.target).divideScalar(this.stage.size || 1);
    for (const other of linked.get(this.link) ?? []) {
      if (other === this || !other.stage?.size) continue;
      const shift = this.stage.controls.target.clone().sub(this.stage.middle).divideScalar(this.stage.size);
      other.turned = true;
      other.stage.controls.target.copy(other.stage.middle).addScaledVector(shift, other.stage.size);
      other.stage.camera.position.copy(other.stage.controls.target).addScaledVector(away, other.stage.size);
      other.stage.controls.update();
      other.stage.draw();
      other.turned = false;
    }
  }

  dispose() {
    this.playing = false;
    linked.get(this.link)?.delete(this);
    this.stage?.dispose();
  }
}

const results = new WeakMap();

export function result({ data, parentElement }) {
  const root = parentElement.querySelector(".viewer");
  if (!results.has(root)) results.set(root, new Result(root));
  const shown = results.get(root);
  root.__result = shown;
  shown.update(data);
  return () => {
    shown.dispose();
    results.delete(root);
  };
}
