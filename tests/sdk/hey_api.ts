// Drives the client that @hey-api/openapi-ts generated: node hey_api.js URL KEY IMAGE_FILE -> one JSON line
import { createHash } from "node:crypto";
import fs from "node:fs";
import { client } from "./hey_api/client.gen.js";
import { formDataBodySerializer } from "./hey_api/client/index.js";
import {
  generationsCreate,
  generationsGet,
  generationsList,
  novitaSeedanceV1LiteI2V,
  novitaTaskResult,
} from "./hey_api/sdk.gen.js";
import type {
  Generation,
  GenerationCreateForm,
  GenerationsCreateErrors,
  GenerationsCreateResponses,
} from "./hey_api/types.gen.js";

const MAX_READS = 10; // of up to 10 s each
const [url, key, file] = process.argv.slice(2);
const bytes = fs.readFileSync(file);
const image = bytes.toString("base64");
client.setConfig({ baseUrl: url, auth: key });

function must<T>(result: { data?: T; error?: unknown }): T {
  if (result.data === undefined) throw new Error(JSON.stringify(result.error));
  return result.data;
}

async function wait(generation_id: string): Promise<Generation> {
  for (let read = 0; read < MAX_READS; read++) {
    const generation = must(await generationsGet({ path: { generation_id }, headers: { Prefer: "wait=10" } }));
    if (generation.finished_at) return generation;
  }
  throw new Error(`${generation_id} does not end.`);
}

async function idsWith(label: string): Promise<string[]> {
  const page = must(await generationsList({ query: { metadata: [label] } }));
  return page.generations.map((generation) => generation.id);
}

// Of two kinds of body the generator takes the first, JSON, and generates the form's type alone.
async function createFromForm(form: GenerationCreateForm): Promise<Generation> {
  const result = await client.post<GenerationsCreateResponses, GenerationsCreateErrors>({
    url: "/v1/generations",
    security: [{ scheme: "bearer", type: "http" }],
    headers: { "Content-Type": null },
    body: form,
    ...formDataBodySerializer,
  });
  return must(result);
}

async function main() {
  const created = must(
    await generationsCreate({
      headers: { "Idempotency-Key": "hey-api" },
      body: { image, resolution: "480p", duration: 5, camera_fixed: true, metadata: { client: "hey-api" } },
    }),
  );
  const generation = await wait(created.id);
  if (!generation.video) throw new Error(JSON.stringify(generation));
  const video = Buffer.from(await (await fetch(generation.video.url)).arrayBuffer());

  const form = await createFromForm({
    image: new File([bytes], "image.jpg", { type: "image/jpeg" }),
    resolution: "480p",
    camera_fixed: true,
    metadata: { client: "hey-api form" },
  });

  const spoken = { prompt: "Waves break on the rocks", duration: 3, audio: true } as const;
  const sound = await wait(must(await generationsCreate({ body: { model: "kling-v3.0-std-t2v", ...spoken } })).id);

  const task = must(await novitaSeedanceV1LiteI2V({ body: { image, resolution: "480p" } }));
  await wait(task.task_id);
  const result = must(await novitaTaskResult({ query: { task_id: task.task_id } }));

  const refusal = await generationsGet({ path: { generation_id: "00000000-0000-0000-0000-000000000000" } });

  console.log(
    JSON.stringify({
      sha256: generation.video.sha256,
      downloaded: createHash("sha256").update(video).digest("hex"),
      id: generation.id,
      listed: await idsWith("client=hey-api"),
      form_id: form.id,
      form_camera_fixed: form.camera_fixed,
      form_listed: await idsWith("client=hey-api form"),
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
