// Tables of colours, and what every shader of a result needs.
import * as THREE from "three";

// viridis (van der Walt and Smith, matplotlib, CC0), as in the pictures of the report
const VIRIDIS = [[71, 45, 123], [66, 64, 134], [59, 82, 139], [51, 99, 141], [44, 114, 142], [38, 130, 142],
  [33, 145, 140], [31, 160, 136], [40, 174, 128], [63, 188, 115], [94, 201, 98], [132, 212, 75], [173, 220, 48],
  [216, 226, 25], [253, 231, 37]]; // prettier-ignore
const GREYS = [[40, 40, 40], [240, 240, 240]];
const COLD_WARM = [[59, 76, 192], [141, 176, 254], [221, 221, 221], [244, 152, 122], [180, 4, 38]]; // K. Moreland, 2009
export const MAPS = { viridis: VIRIDIS, "cold-warm": COLD_WARM, grey: GREYS };

// A texture of 256 colours from a few.
export function table(stops) {
  const pixels = new Uint8Array(1024);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const k = Math.min(stops.length - 2, Math.floor(at));
    for (let j = 0; j < 3; j++) pixels[4 * i + j] = stops[k][j] + (at - k) * (stops[k + 1][j] - stops[k][j]);
    pixels[4 * i + 3] = 255;
  }
  const texture = new THREE.DataTexture(pixels, 256, 1);
  texture.minFilter = texture.magFilter = THREE.LinearFilter;
  texture.needsUpdate = true;
  return texture;
}

export const COLOUR = `uniform sampler2D colours; uniform vec2 range;
  vec3 coloured(float v) {
    return texture2D(colours, vec2(clamp((v - range.x) / max(range.y - range.x, 1e-9), .002, .998), .5)).rgb;
  }`;
export const CLIP_V = "\n#include <clipping_planes_pars_vertex>\n";
export const CLIP_F = "\n#include <clipping_planes_pars_fragment>\n";
