// One bundle for the pages: the part to pick from, and the result to look at.
export { part } from "./part.js";
export { result } from "./result.js";
