import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { posternMain, root } from '../support/postern.js';
import { run } from '../support/program.js';
import { deployDirectory, readYaml } from './files.js';

const dockerDirectory = join(deployDirectory, 'docker');
const dockerfile = readFileSync(join(dockerDirectory, 'Dockerfile'), 'utf8');
const compose = z
  .object({
    services: z.record(
      z.string(),
      z.looseObject({
        image: z.string(),
        hostname: z.string().optional(),
        volumes: z.array(z.string()),
        ports: z.array(z.string()),
        build: z.object({ context: z.string(), dockerfile: z.string() }).optional(),
      }),
    ),
    volumes: z.record(z.string(), z.null()),
  })
  .parse(readYaml(join(dockerDirectory, 'compose.yaml')));

const { postern, prometheus } = compose.services;

describe('the Dockerfile', () => {
  it('copies only what is there and what .dockerignore lets through', () => {
    const allowed = readFileSync(join(dockerDirectory, 'Dockerfile.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+)$/gm)]
      .flatMap(([, paths = '']) => paths.split(' ').slice(0, -1))
      .map((path) => path.replace('./', ''));
    expect(copied.length).toBeGreaterThan(3);
    for (const path of copied) {
      expect(existsSync(join(root, path)), path).toBe(true);
      expect(allowed).toContain(path);
    }
  });

  it('does not run as root and needs no install script', () => {
    expect(dockerfile).toMatch(/^USER postern$/m);
    for (const [line] of dockerfile.matchAll(/npm (?:ci|prune)[^&\n]*/g)) expect(line).toContain('--ignore-scripts');
  }); // prettier-ignore

  it('stands on a Node that package.json takes', () => {
    const { engines } = z
      .object({ engines: z.object({ node: z.string() }) })
      .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')));
    const versions = [...dockerfile.matchAll(/^FROM node:(\d+)-bookworm-slim/gm)].map(([, major]) => major);
    expect(new Set(versions).size).toBe(1);
    expect(engines.node).toContain(`^${versions[0]}.`);
  });
});

describe('compose.yaml', () => {
  it('mounts files that exist and volumes that are declared', () => {
    for (const { volumes } of Object.values(compose.services))
      for (const volume of volumes) {
        const [source = ''] = volume.split(':');
        if (source.startsWith('.')) expect(existsSync(join(dockerDirectory, source)), source).toBe(true);
        else expect(Object.keys(compose.volumes)).toContain(source);
      }
    expect(existsSync(join(dockerDirectory, postern?.build?.context ?? '', postern?.build?.dockerfile ?? ''))).toBe(true);
  }); // prettier-ignore

  it('publishes ports on this machine only and pins its images', () => {
    for (const { ports, image } of Object.values(compose.services)) {
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
      if (image !== 'postern') expect(image).toMatch(/:v?\d+\.\d+\.\d+$/);
    }
  });

  it('Prometheus asks for the container by the name that its Host check knows', () => {
    const scrape = z
      .object({ scrape_configs: z.array(z.looseObject({ static_configs: z.array(z.object({ targets: z.array(z.string()) })) })) })
      .parse(readYaml(join(dockerDirectory, 'prometheus.yml')));
    expect(scrape.scrape_configs[0]?.static_configs[0]?.targets).toEqual([`${postern?.hostname}:2580`]);
    expect(prometheus?.volumes).toContain('../prometheus/rules:/etc/prometheus/rules:ro');
  }); // prettier-ignore

  it('its config passes `postern check`, with the token that compose demands', async () => {
    const args = [posternMain, 'check', '--config', join(dockerDirectory, 'postern.yaml')];
    const checked = await run(process.execPath, args, { env: { POSTERN_ADMIN_TOKEN: 'a'.repeat(48) } });
    expect(checked).toMatchObject({ code: 0 });
    // Without it the admin HTTP would be open to the network under a token that nobody chose.
    expect(await run(process.execPath, args)).toMatchObject({ code: 2 });
  });
});
