// The inside of a result: caps where a section plane cuts the part open, and surfaces of equal value, both from values
// on an even grid (solvers/post/inside.py).
import * as THREE from "three";
import { CLIP_F, CLIP_V, COLOUR } from "./colours.js";

// Where in the grid's texture a point lies, and how far it has moved there; displacements are shares of the largest.
const AT = `uniform highp sampler3D moves; uniform vec3 origin, pace, counts; uniform float warp;
  vec3 at(vec3 p) { return ((p - origin) / pace + .5) / counts; }
  vec3 moved(vec3 p) { return warp * texture(moves, at(p)).xyz; }`;

// The corners of a cube's six tetrahedra around its diagonal (corner k: bit 0 x, bit 1 y, bit 2 z).
const TETS = [[0, 1, 3, 7], [0, 3, 2, 7], [0, 2, 6, 7], [0, 6, 4, 7], [0, 4, 5, 7], [0, 5, 1, 7]]; // prettier-ignore

function texture(data, counts, format) {
  const made = new THREE.Data3DTexture(data, ...counts);
  Object.assign(made, { format, type: THREE.HalfFloatType, minFilter: THREE.LinearFilter, magFilter: THREE.LinearFilter, unpackAlignment: 1 });
  made.needsUpdate = true;
  return made;
}

export class Inside {
  // uniforms: those of the skin, shared; skin: the closed surface that is cut
  constructor(head, arrays, uniforms, skin) {
    const { origin, spacing, counts, steps } = head.inside;
    Object.assign(this, { arrays, origin, spacing, counts, steps, skin });
    this.size = Math.hypot(...head.high.map((v, i) => v - head.low[i]));
    this.half = Uint16Array.from({ length: steps + 1 }, (_, i) => THREE.DataUtils.toHalfFloat(i / steps));
    const moves = new Uint16Array(arrays.inside_warp ? 4 * arrays.inside.length : 4);
    if (arrays.inside_warp)
      for (let i = 0; i < arrays.inside.length; i++)
        for (let k = 0; k < 3; k++) {
          const step = arrays.inside_warp[3 * i + k];
          moves[4 * i + k] = this.half[Math.abs(step)] | (step < 0 ? 0x8000 : 0);
        }
    const whole = Uint16Array.from(arrays.inside, (there) => this.half[there ? steps : 0]);
    this.uniforms = {
      ...uniforms,
      values: { value: null },
      whole: { value: texture(whole, counts, THREE.RedFormat) },
      moves: { value: texture(moves, arrays.inside_warp ? counts : [1, 1, 1], THREE.RGBAFormat) },
      origin: { value: new THREE.Vector3(...origin) },
      pace: { value: new THREE.Vector3(...spacing) },
      counts: { value: new THREE.Vector3(...counts) },
      level: { value: 0.5 },
    };
    this.buildCap();
    this.buildLevel();
  }

  // What of the skin is left beyond the plane covers a point of the plane an odd number of times exactly where the part
  // is cut: the stencil counts, and the plane is drawn there.
  buildCap() {
    const count = this.skin.material.clone();
    count.uniforms = this.skin.material.uniforms;
    Object.assign(count, {
      colorWrite: false, depthWrite: false, depthTest: false, transparent: false, stencilWrite: true,
      stencilFunc: THREE.AlwaysStencilFunc, stencilFail: THREE.InvertStencilOp,
      stencilZFail: THREE.InvertStencilOp, stencilZPass: THREE.InvertStencilOp,
    }); // prettier-ignore
    this.counter = new THREE.Mesh(this.skin.geometry, count);
    this.counter.frustumCulled = false;
    this.counter.renderOrder = 1;
    const material = new THREE.ShaderMaterial({
      uniforms: this.uniforms, side: THREE.DoubleSide, stencilWrite: true, stencilRef: 0,
      stencilFunc: THREE.NotEqualStencilFunc,
      vertexShader: `varying vec3 place;
        void main() { place = (modelMatrix * vec4(position, 1.)).xyz; gl_Position = projectionMatrix * viewMatrix * vec4(place, 1.); }`,
      fragmentShader: `${COLOUR} ${AT} uniform highp sampler3D values; varying vec3 place;
        void main() {
          vec3 from = place; // where the point was before it moved
          for (int i = 0; i < 5; i++) from = place - moved(from);
          gl_FragColor = vec4(coloured(texture(values, at(from)).r), 1.);
        }`,
    }); // prettier-ignore
    material.userData.whole = true; // is not cut itself
    this.cap = new THREE.Mesh(new THREE.PlaneGeometry(6 * this.size, 6 * this.size), material);
    this.cap.renderOrder = 2;
    this.cap.visible = this.counter.visible = false;
  }

  buildLevel() {
    const material = new THREE.ShaderMaterial({
      uniforms: this.uniforms, side: THREE.DoubleSide, clipping: true,
      vertexShader: `${CLIP_V} ${AT} varying vec3 place, seen;
        void main() {
          place = position;
          vec4 mvPosition = modelViewMatrix * vec4(position + moved(position), 1.); seen = mvPosition.xyz;
          #include <clipping_planes_vertex>
          gl_Position = projectionMatrix * mvPosition; }`,
      fragmentShader: `${COLOUR} ${AT} ${CLIP_F} uniform highp sampler3D whole; uniform float level; varying vec3 place, seen;
        void main() {
          #include <clipping_planes_fragment>
          if (texture(whole, at(place)).r < .5) discard;
          vec3 n = normalize(cross(dFdx(seen), dFdy(seen)));
          gl_FragColor = vec4(coloured(level) * (.5 + .5 * abs(n.z)), 1.);
        }`,
    }); // prettier-ignore
    this.level = new THREE.Mesh(new THREE.BufferGeometry(), material);
    this.level.frustumCulled = false;
    this.level.visible = false;
  }

  get parts() {
    return [this.counter, this.cap, this.level];
  }

  choose(number) {
    this.bars = this.arrays[`inside_bar${number}`];
    this.now = this.arrays[`inside${number}`];
    this.uniforms.values.value?.dispose();
    this.uniforms.values.value = texture(Uint16Array.from(this.now, (step) => this.half[step]), this.counts, THREE.RedFormat);
    if (this.level.visible) this.surface(this.uniforms.level.value);
  }

  // The plane that cuts, or null.
  cut(plane) {
    this.cap.visible = this.counter.visible = Boolean(plane);
    if (!plane) return;
    this.cap.quaternion.setFromUnitVectors(new THREE.Vector3(0, 0, 1), plane.normal);
    const middle = new THREE.Vector3(...this.origin.map((o, i) => o + (this.spacing[i] * this.counts[i]) / 2));
    plane.projectPoint(middle, this.cap.position);
  }

  // Value and bar at a place as shares of their ranges, null outside the part; the place is where the point was at first.
  valueAt(place) {
    const g = place.map((p, i) => Math.min(this.counts[i] - 1, Math.max(0, (p - this.origin[i]) / this.spacing[i])));
    const low = g.map((v, i) => Math.min(this.counts[i] - 2, Math.floor(v)));
    let value = 0, root = 0, none = false, there = 0; // prettier-ignore
    for (let corner = 0; corner < 8; corner++) {
      let weight = 1;
      const at = low.map((l, i) => {
        const up = (corner >> i) & 1;
        weight *= up ? g[i] - l : 1 - (g[i] - l);
        return l + up;
      });
      const k = at[0] + this.counts[0] * (at[1] + this.counts[1] * at[2]);
      value += weight * this.now[k];
      root += weight * (this.bars?.[k] ?? 0);
      none ||= weight > 0 && this.bars?.[k] === 255;
      there += weight * this.arrays.inside[k];
    }
    return there < 0.5 ? null : { share: value / this.steps, bar: none ? null : (root / 254) ** 2 };
  }

  // Where a moved point was before it moved.
  before(place, warp) {
    if (!this.arrays.inside_warp || !warp) return place;
    let from = place;
    for (let i = 0; i < 5; i++) {
      const at = from.map((p, k) => Math.min(this.counts[k] - 1, Math.max(0, Math.round((p - this.origin[k]) / this.spacing[k]))));
      const row = at[0] + this.counts[0] * (at[1] + this.counts[1] * at[2]);
      from = place.map((p, k) => p - (warp * this.arrays.inside_warp[3 * row + k]) / this.steps);
    }
    return from;
  }

  // The surface where the field has a value (a share of its range): each cube of the grid is six tetrahedra.
  surface(share) {
    this.uniforms.level.value = share;
    const { now, counts, origin, spacing } = this;
    const wanted = share * this.steps;
    const [nx, ny, nz] = counts;
    const places = [];
    const offset = [0, 1, nx, nx + 1, nx * ny, nx * ny + 1, nx * ny + nx, nx * ny + nx + 1];
    const there = this.arrays.inside;
    const value = new Float64Array(8);
    const between = (x, y, z, a, b) => {
      const t = (wanted - value[a]) / (value[b] - value[a]);
      for (const [i, base] of [[0, x], [1, y], [2, z]]) {
        const [p, q] = [(a >> i) & 1, (b >> i) & 1];
        places.push(origin[i] + spacing[i] * (base + p + t * (q - p)));
      }
    }; // prettier-ignore
    for (let z = 0; z < nz - 1; z++)
      for (let y = 0; y < ny - 1; y++)
        for (let x = 0; x < nx - 1; x++) {
          const first = x + nx * (y + ny * z);
          let least = Infinity, most = -Infinity, some = 0; // prettier-ignore
          for (let k = 0; k < 8; k++) {
            const v = (value[k] = now[first + offset[k]]);
            some |= there[first + offset[k]];
            if (v < least) least = v;
            if (v > most) most = v;
          }
          if (!some || least >= wanted || most < wanted) continue;
          for (const tet of TETS) {
            const over = tet.filter((k) => value[k] >= wanted);
            const under = tet.filter((k) => value[k] < wanted);
            if (over.length === 1 || under.length === 1) {
              const [one, three] = over.length === 1 ? [over[0], under] : [under[0], over];
              for (const other of three) between(x, y, z, one, other);
            } else if (over.length === 2) {
              const [[a, b], [c, d]] = [over, under];
              for (const [from, to] of [[a, c], [a, d], [b, d], [a, c], [b, d], [b, c]]) between(x, y, z, from, to);
            } // prettier-ignore
          }
        }
    this.level.geometry.dispose();
    this.level.geometry = new THREE.BufferGeometry();
    this.level.geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(places), 3));
    return places.length / 9;
  }
}
