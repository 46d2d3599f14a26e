import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: [".venv/", "build/", "data/", "**/*.min.js", "assets/bundle-*", "**/vendor/"] },
  js.configs.recommended,
  {
    rules: {
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      // An argument that a caller passes and this function has no use for is named with _.
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
    },
  },
  {
    files: ["assets/**"],
    languageOptions: { globals: { ...globals.browser, Plotly: "readonly" } },
  },
  { files: ["assets/service-worker.mjs"], languageOptions: { globals: globals.serviceworker } },
  { files: ["bench/**"], languageOptions: { globals: globals.browser } },
  // Dash loads .js as plain scripts, .mjs as modules.
  { files: ["assets/**/*.js"], languageOptions: { sourceType: "script" } },
  { files: ["tests/js/**", "*.mjs"], languageOptions: { globals: globals.node } },
];
