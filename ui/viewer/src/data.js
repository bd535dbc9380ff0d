// Reads what the hub serves: numpy's .npz with stored arrays, and the packed skin of a result (solvers/post/packed.py).

export async function bytes(url) {
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return answer.arrayBuffer();
}

const KINDS = { "<f8": Float64Array, "<f4": Float32Array, "<i4": Int32Array, "<u4": Uint32Array, "|u1": Uint8Array };

function array(buffer, start) {
  const view = new DataView(buffer, start);
  const length = view.getUint8(6) === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const at = view.getUint8(6) === 1 ? 10 : 12;
  const head = new TextDecoder("latin1").decode(new Uint8Array(buffer, start + at, length));
  const kind = /'descr': '([^']+)'/.exec(head)[1];
  const shape = /'shape': \(([^)]*)\)/.exec(head)[1].split(",").filter((s) => s.trim()).map(Number);
  const count = shape.reduce((a, b) => a * b, 1);
  const from = start + at + length;
  if (kind === "<i8") {
    const words = new Int32Array(buffer.slice(from, from + 8 * count));
    return Int32Array.from({ length: count }, (_, i) => words[2 * i]);
  }
  const Kind = KINDS[kind];
  if (!Kind) throw new Error(`unknown array type ${kind}`);
  return new Kind(buffer.slice(from, from + Kind.BYTES_PER_ELEMENT * count));
}

// Name -> flat typed array.
export function npz(buffer) {
  const view = new DataView(buffer);
  let end = buffer.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw new Error("not an archive");
  const found = {};
  let at = view.getUint32(end + 16, true);
  for (let n = view.getUint16(end + 10, true); n > 0; n--) {
    const [name, extra, comment] = [28, 30, 32].map((o) => view.getUint16(at + o, true));
    if (view.getUint16(at + 10, true) !== 0) throw new Error("a compressed archive");
    const local = view.getUint32(at + 42, true);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const title = new TextDecoder().decode(new Uint8Array(buffer, at + 46, name));
    found[title.replace(/\.npy$/, "")] = array(buffer, start);
    at += 46 + name + extra + comment;
  }
  return found;
}

const PACKED = { u8: Uint8Array, u16: Uint16Array, i16: Int16Array, u32: Uint32Array, f32: Float32Array };

// {head, name -> typed array} of a packed, gzipped scene. Differences between rows are added up again.
export async function packed(buffer) {
  const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"));
  const plain = await new Response(stream).arrayBuffer();
  const view = new DataView(plain);
  if (view.getUint32(0, true) !== 0x3156464f) throw new Error("not a scene");
  const length = view.getUint32(4, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(plain, 8, length)));
  const arrays = {};
  for (const [name, { type, count, width, offset, differences }] of Object.entries(head.arrays)) {
    const found = new PACKED[type](plain, 8 + length + offset, count * width);
    if (differences) for (let i = width; i < found.length; i++) found[i] += found[i - width];
    arrays[name] = found;
  }
  return { head, arrays };
}
