// Grains as points that look like spheres, at one moment of many.
import * as THREE from "three";
import { CLIP_F, CLIP_V, COLOUR } from "./colours.js";

export class Grains extends THREE.Points {
  constructor(head, arrays, uniforms) {
    const count = arrays.grain_radii.length;
    const geometry = new THREE.BufferGeometry();
    for (const [name, width] of [["position", 3], ["value", 1], ["there", 1]])
      geometry.setAttribute(name, new THREE.BufferAttribute(
        name === "there" ? new Uint8Array(count) : new Uint16Array(count * width), width, name !== "there"));
    geometry.setAttribute("size", new THREE.BufferAttribute(arrays.grain_radii, 1, true));
    uniforms.radius.value = head.grains.radius;
    const kinds = head.grains.kinds.length;
    const span = Math.max(head.grains.high - head.grains.low, 1e-30);
    const colours = head.grains.colours.map((c) => `vec3(${c.map((v) => (v / 255).toFixed(4))})`);
    const paint = kinds
      ? `vec3 paint(float v) { ${head.grains.kinds.slice(0, -1).map((k, i) =>
          `if (v < ${(((k + head.grains.kinds[i + 1]) / 2 - head.grains.low) / span).toFixed(5)}) return ${colours[i]};`).join(" ")}
          return ${colours.at(-1)}; }`
      : "vec3 paint(float v) { return coloured(v); }"; // prettier-ignore
    const material = new THREE.ShaderMaterial({
      uniforms: { ...uniforms, range: { value: new THREE.Vector2(0, 1) } }, clipping: true,
      vertexShader: `${CLIP_V} attribute float value, size, there; uniform vec3 low, span; uniform float pixel, radius;
        varying float v;
        void main() {
          vec4 mvPosition = modelViewMatrix * vec4(low + position * span, 1.); v = value;
          #include <clipping_planes_vertex>
          gl_Position = there > .5 ? projectionMatrix * mvPosition : vec4(2., 2., 2., 1.);
          gl_PointSize = max(1., 2. * pixel * radius * size / -mvPosition.z);
        }`,
      fragmentShader: `${COLOUR} ${paint} ${CLIP_F} varying float v;
        void main() {
          #include <clipping_planes_fragment>
          vec2 d = gl_PointCoord * 2. - 1.; float r = dot(d, d); if (r > 1.) discard;
          gl_FragColor = vec4(paint(v) * (.5 + .5 * sqrt(1. - r)), 1.);
        }`,
    }); // prettier-ignore
    super(geometry, material);
    this.frustumCulled = false;
    this.arrays = arrays;
  }

  // The grains at one of the moments.
  moment(k) {
    const { arrays } = this;
    const { position, value, there } = this.geometry.attributes;
    const count = arrays.grain_radii.length;
    position.array.set(arrays.grain_places.subarray(3 * count * k, 3 * count * (k + 1)));
    value.array.set(arrays.grain_values.subarray(count * k, count * (k + 1)));
    there.array.set(arrays.grain_there.subarray(count * k, count * (k + 1)));
    position.needsUpdate = value.needsUpdate = there.needsUpdate = true;
  }
}
