// What can wait until the charts are there (assets/desk.mjs).

export * as counting from "./counting.mjs";
export * as glide from "./glide.mjs";
export * as lists from "./lists.mjs";
export * as mend from "./mend.mjs";
export * as menu from "./menu.mjs";
export * as picture from "./picture.mjs";
export * as reader from "./reader.mjs";
export * as reorder from "./reorder.mjs";
export * as share from "./share.mjs";
export * as sources from "./sources.mjs";
export * as walk from "./walk.mjs";
