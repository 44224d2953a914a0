// Drives openapi-fetch with the types of openapi-typescript: node openapi_fetch.js URL KEY IMAGE_FILE -> one JSON line
import { createHash } from "node:crypto";
import fs from "node:fs";
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi_typescript.js";

type Generation = components["schemas"]["Generation"];
type Form = components["schemas"]["GenerationCreateForm"];

const MAX_READS = 10; // of up to 10 s each
const [url, key, file] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });
const bytes = fs.readFileSync(file);
const image = bytes.toString("base64");

function must<T>(result: { data?: T; error?: unknown }): T {
  if (result.data === undefined) throw new Error(JSON.stringify(result.error));
  return result.data;
}

// openapi-fetch leaves the writing of a form to its caller.
function toForm(body: unknown): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(body as Form)) {
    form.append(name, value instanceof Blob || typeof value === "string" ? value : JSON.stringify(value));
  }
  return form;
}

async function wait(generation_id: string): Promise<Generation> {
  for (let read = 0; read < MAX_READS; read++) {
    const params = { path: { generation_id }, header: { Prefer: "wait=10" } };
    const generation = must(await client.GET("/v1/generations/{generation_id}", { params }));
    if (generation.finished_at) return generation;
  }
  throw new Error(`${generation_id} does not end.`);
}

async function idsWith(label: string): Promise<string[]> {
  const page = must(await client.GET("/v1/generations", { params: { query: { metadata: [label] } } }));
  return page.generations.map((generation) => generation.id);
}

async function main() {
  const created = must(
    await client.POST("/v1/generations", {
      params: { header: { "Idempotency-Key": "openapi-fetch" } },
      body: { image, resolution: "480p", duration: 5, camera_fixed: true, metadata: { client: "openapi-fetch" } },
    }),
  );
  const generation = await wait(created.id);
  if (!generation.video) throw new Error(JSON.stringify(generation));
  const video = Buffer.from(await (await fetch(generation.video.url)).arrayBuffer());

  const body: Form = {
    image: new File([bytes], "image.jpg", { type: "image/jpeg" }),
    resolution: "480p",
    camera_fixed: true,
    metadata: { client: "openapi-fetch form" },
  };
  const form = must(await client.POST("/v1/generations", { body, bodySerializer: toForm }));

  const spoken = { prompt: "Waves break on the rocks", duration: 3, audio: true } as const;
  const ofText = must(await client.POST("/v1/generations", { body: { model: "kling-v3.0-std-t2v", ...spoken } }));
  const sound = await wait(ofText.id);

  const task = must(await client.POST("/v3/async/seedance-v1-lite-i2v", { body: { image, resolution: "480p" } }));
  await wait(task.task_id);
  const params = { query: { task_id: task.task_id } };
  const result = must(await client.GET("/v3/async/task-result", { params }));

  const unknown = { path: { generation_id: "00000000-0000-0000-0000-000000000000" } };
  const refusal = await client.GET("/v1/generations/{generation_id}", { params: unknown });

  console.log(
    JSON.stringify({
      sha256: generation.video.sha256,
      downloaded: createHash("sha256").update(video).digest("hex"),
      id: generation.id,
      listed: await idsWith("client=openapi-fetch"),
      form_id: form.id,
      form_camera_fixed: form.camera_fixed,
      form_listed: await idsWith("client=openapi-fetch form"),
      sound: [sound.status, sound.audio, sound.duration, sound.resolution, sound.image],
      novita: result.task.status,
      refusal: refusal.error?.code,
    }),
  );
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
