import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Controller, Get, Param, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { ApiError } from '../contract/api-error.js';
import { PREFIXES } from '../contract/route.js';

/** The files of swagger-ui that the page loads, with their types. Nothing comes from another host. */
const FILES: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Planasonix Streams</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
</head>
<body>
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
`;
const START = `window.ui = SwaggerUIBundle({ url: 'openapi.json', dom_id: '#docs', deepLinking: true, tryItOutEnabled: true });\n`;

const folder = (): string =>
  path.dirname(
    require.resolve('swagger-ui-dist/package.json', {
      paths: [path.dirname(require.resolve('@nestjs/swagger/package.json'))],
    }),
  );

/** The document for people, at `/api/docs`. */
@Controller([...PREFIXES])
export class DocsController {
  @Get('docs')
  page(@Res() reply: FastifyReply): void {
    void reply.type('text/html; charset=utf-8').send(PAGE);
  }

  @Get('docs/:file')
  async file(@Param('file') file: string, @Res() reply: FastifyReply): Promise<void> {
    if (file === 'start.js') {
      void reply.type('text/javascript; charset=utf-8').send(START);
      return;
    }
    const type = Object.hasOwn(FILES, file) ? FILES[file] : undefined;
    if (type === undefined) throw new ApiError('not_found');
    const bytes = await readFile(path.join(folder(), file));
    void reply.type(type).header('cache-control', 'public, max-age=3600').send(bytes);
  }
}
