// Writes the types of an OpenAPI document: node openapi_typescript.mjs DOCUMENT OUT
// The transform is the one of openapi-typescript's own guide: without it a file is a string.
import fs from "node:fs";
import { pathToFileURL } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const [document, out] = process.argv.slice(2);
const blob = ts.factory.createTypeReferenceNode(ts.factory.createIdentifier("Blob"));
const ast = await openapiTS(pathToFileURL(document), {
  transform: (schema) => (schema.format === "binary" ? blob : undefined),
});
fs.writeFileSync(out, astToString(ast));
