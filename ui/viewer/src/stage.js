// A stage: camera, light, section plane, labels; draws only when something has changed.
import * as THREE from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";

export function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text; // texts come from people and files: never markup
  return element;
}

export function hasWebGL() {
  try {
    return Boolean(document.createElement("canvas").getContext("webgl2"));
  } catch {
    return false;
  }
}

// Whether a processor draws in the place of a graphics card: then every sample of a pixel is paid for.
function drawnBySoftware() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const more = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(more ? more.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

export class Stage {
  constructor(host) {
    this.host = host;
    const software = drawnBySoftware();
    this.renderer = new THREE.WebGLRenderer({
      antialias: !software, alpha: true, stencil: true, preserveDrawingBuffer: true,
    }); // prettier-ignore
    this.renderer.setPixelRatio(software ? 1 : Math.min(2, devicePixelRatio));
    this.canvas = this.renderer.domElement;
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.labels = make("div", "labels");
    host.append(this.canvas, this.labels);
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(30, 1, 0.1, 1e5);
    this.camera.up.set(0, 0, 1);
    this.controls = new OrbitControls(this.camera, this.canvas);
    this.controls.addEventListener("change", () => {
      this.onview?.();
      this.draw();
    });
    this.scene.add(new THREE.HemisphereLight(0xffffff, 0x8a94a0, 2.1));
    const lamp = new THREE.DirectionalLight(0xffffff, 1.5);
    lamp.position.set(0.4, 0.9, 1);
    this.camera.add(lamp);
    this.scene.add(this.camera);
    this.plane = new THREE.Plane(new THREE.Vector3(-1, 0, 0), 0);
    this.placed = []; // labels: {element, at}
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(host);
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  // The whole of a box, seen from where z is up; flat things from the front.
  fit(low, high) {
    this.low = new THREE.Vector3(...low);
    this.high = new THREE.Vector3(...high);
    this.middle = this.low.clone().add(this.high).multiplyScalar(0.5);
    this.size = this.high.distanceTo(this.low) || 1;
    const flat = high[2] - low[2] < 1e-9 * this.size;
    this.look(flat ? [0, 0, 1] : [1.0, -1.35, 0.85]);
  }

  look(from) {
    const away = new THREE.Vector3(...from).normalize();
    this.camera.near = this.size / 200;
    this.camera.far = this.size * 30;
    this.controls.target.copy(this.middle);
    this.camera.position.copy(this.middle).addScaledVector(away, this.distance(away));
    this.camera.updateProjectionMatrix();
    this.controls.update();
    this.draw();
  }

  // How far away the eye sees all corners of the box, with a little room around them.
  distance(away) {
    const { low, high, middle, camera } = this;
    const right = new THREE.Vector3().crossVectors(camera.up, away);
    if (right.lengthSq() < 1e-9) right.set(1, 0, 0);
    right.normalize();
    const up = new THREE.Vector3().crossVectors(away, right);
    const tall = Math.tan((camera.fov * Math.PI) / 360) * 0.9;
    let far = 0;
    for (let k = 0; k < 8; k++) {
      const corner = new THREE.Vector3(k & 1 ? high.x : low.x, k & 2 ? high.y : low.y, k & 4 ? high.z : low.z).sub(middle);
      const across = Math.max(Math.abs(corner.dot(right)) / camera.aspect, Math.abs(corner.dot(up)));
      far = Math.max(far, corner.dot(away) + across / tall);
    }
    return far;
  }

  // Cut away what lies beyond a share (0..1) of the box along an axis, or what lies before it; null shows everything.
  section(axis, share, other = false) {
    const materials = new Set();
    this.scene.traverse((o) => o.material && !o.material.userData.whole && materials.add(o.material));
    if (axis === null) {
      materials.forEach((m) => (m.clippingPlanes = null));
      this.renderer.localClippingEnabled = false;
    } else {
      const sign = other ? 1 : -1;
      const normal = new THREE.Vector3().setComponent(axis, sign);
      const span = this.high.getComponent(axis) - this.low.getComponent(axis);
      this.plane.set(normal, -sign * (this.low.getComponent(axis) + share * span) + 1e-9 * this.size);
      materials.forEach((m) => (m.clippingPlanes = [this.plane]));
      this.renderer.localClippingEnabled = true;
    }
    this.draw();
  }

  cutAway(point) {
    return this.renderer.localClippingEnabled && this.plane.distanceToPoint(point) < 0;
  }

  // From the eye through the pointer.
  caster(event) {
    const box = this.canvas.getBoundingClientRect();
    const at = new THREE.Vector2(
      ((event.clientX - box.left) / box.width) * 2 - 1,
      1 - ((event.clientY - box.top) / box.height) * 2,
    );
    const caster = new THREE.Raycaster();
    caster.setFromCamera(at, this.camera);
    return caster;
  }

  // The first thing of `objects` under the pointer that is not cut away and, if given, that `accepts` takes.
  hit(event, objects, accepts = null) {
    const ray = this.caster(event);
    ray.firstHitOnly = !this.renderer.localClippingEnabled && !accepts;
    return ray.intersectObjects(objects, false).find((h) => !this.cutAway(h.point) && (!accepts || accepts(h))) ?? null;
  }

  // Where a point (three numbers) is on the page.
  onPage(point) {
    const box = this.canvas.getBoundingClientRect();
    const p = new THREE.Vector3(...point).project(this.camera);
    return { x: box.left + ((p.x + 1) / 2) * box.width, y: box.top + ((1 - p.y) / 2) * box.height, depth: p.z };
  }

  label(at, text, name = "label") {
    const element = make("div", name, text);
    this.labels.append(element);
    this.placed.push({ element, at: new THREE.Vector3(...at) });
    return element;
  }

  clearLabels() {
    this.placed = [];
    this.labels.replaceChildren();
  }

  // A click that was no drag.
  onclick(act) {
    let down = null;
    this.canvas.addEventListener("pointerdown", (e) => (down = [e.clientX, e.clientY]));
    this.canvas.addEventListener("pointerup", (e) => {
      if (down && e.button === 0 && Math.hypot(e.clientX - down[0], e.clientY - down[1]) < 5) act(e);
      down = null;
    });
  }

  // what somebody hears who does not see it
  name(words) {
    this.canvas.setAttribute("aria-label", words);
  }

  key(event) {
    const turn = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (turn) {
      const about = new THREE.Spherical().setFromVector3(
        this.camera.position.clone().sub(this.controls.target).applyAxisAngle(new THREE.Vector3(1, 0, 0), -Math.PI / 2),
      );
      about.theta += 0.12 * turn[0];
      about.phi = Math.min(Math.PI - 0.05, Math.max(0.05, about.phi + 0.12 * turn[1]));
      const away = new THREE.Vector3().setFromSpherical(about).applyAxisAngle(new THREE.Vector3(1, 0, 0), Math.PI / 2);
      this.camera.position.copy(this.controls.target).add(away);
    } else if (event.key === "+" || event.key === "-") {
      const away = this.camera.position.clone().sub(this.controls.target);
      this.camera.position.copy(this.controls.target).addScaledVector(away, event.key === "+" ? 0.88 : 1.14);
    } else return;
    event.preventDefault();
    this.controls.update();
    this.draw();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.draw();
  }

  draw() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = undefined;
      this.before?.();
      this.renderer.render(this.scene, this.camera);
      this.placeLabels();
    });
  }

  placeLabels() {
    const [width, height] = [this.host.clientWidth, this.host.clientHeight];
    for (const { element, at } of this.placed) {
      const p = at.clone().project(this.camera);
      element.style.transform = `translate(-50%, -50%) translate(${((p.x + 1) / 2) * width}px, ${((1 - p.y) / 2) * height}px)`;
    }
  }

  dispose() {
    this.watch.disconnect();
    this.controls.dispose();
    this.scene.traverse((o) => o.geometry?.dispose());
    this.renderer.dispose();
    this.renderer.forceContextLoss();
    this.host.replaceChildren();
  }
}
