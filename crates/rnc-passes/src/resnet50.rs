//! A network with ResNet-50's operators (He et al., "Deep Residual Learning", 2015, table 1; stride in the 3x3, as in
//! torchvision), but few channels and small images, as text.

use std::fmt::Write;

/// The whole network: 53 convolutions, each with a batch norm.
pub(crate) fn resnet50() -> String {
    let mut net = Net::default();
    let mut x = net.conv("%x", Shape { from: 3, to: 2, kernel: 7, stride: 2 }, true);
    x = net.line("%pool", &format!("max_pool({x}) {{kernel=3, stride=2, pad=1}}"));
    let mut channels = 2;
    for (stage, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
        for block in 0..blocks {
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            x = net.bottleneck(&x, channels, stride, block == 0);
            channels = OUTER;
        }
    }
    x = net.line("%mean", &format!("global_average_pool({x})"));
    x = net.line("%flat", &format!("reshape({x}) {{shape=[N,{OUTER}]}}"));
    net.line("@fc.weight", &format!("random(1) : f32[5,{OUTER}]"));
    net.line("@fc.bias", "random(2) : f32[5]");
    net.line("%fc", &format!("gemm({x}, @fc.weight, bias=@fc.bias) {{trans_b=true}}"));
    format!("graph @resnet50(%x: f32[N,3,32,32]) -> (%fc) {{\n{}}}", net.text)
}

/// Channels inside of a block.
const INNER: usize = 2;

/// Channels between blocks.
const OUTER: usize = 8;

#[derive(Default)]
struct Net {
    text: String,
    count: usize,
}

struct Shape {
    from: usize,
    to: usize,
    kernel: usize,
    stride: usize,
}

impl Net {
    fn line(&mut self, name: &str, right: &str) -> String {
        writeln!(self.text, "  {name} = {right}").expect("a string grows");
        name.to_owned()
    }

    /// Convolution and batch norm, and a relu if asked for.
    fn conv(&mut self, x: &str, Shape { from, to, kernel, stride }: Shape, relu: bool) -> String {
        self.count += 1;
        let n = self.count;
        self.line(&format!("@w{n}"), &format!("random({n}, -0.5, 0.5) : f32[{to},{from},{kernel},{kernel}]"));
        for (vector, range) in [("g", "0.5, 1.0"), ("b", "-0.5, 0.5"), ("m", "-0.5, 0.5"), ("v", "0.5, 1.5")] {
            self.line(&format!("@{vector}{n}"), &format!("random({n}, {range}) : f32[{to}]"));
        }
        let conv = format!("conv2d({x}, @w{n}) {{stride={stride}, pad={}}}", kernel / 2);
        self.line(&format!("%conv{n}"), &conv);
        let norm = format!("batch_norm(%conv{n}, @g{n}, @b{n}, @m{n}, @v{n}) {{epsilon=1e-5}}");
        let norm = self.line(&format!("%bn{n}"), &norm);
        if relu { self.line(&format!("%relu{n}"), &format!("relu({norm})")) } else { norm }
    }

    fn bottleneck(&mut self, x: &str, channels: usize, stride: usize, projected: bool) -> String {
        let a = self.conv(x, Shape { from: channels, to: INNER, kernel: 1, stride: 1 }, true);
        let b = self.conv(&a, Shape { from: INNER, to: INNER, kernel: 3, stride }, true);
        let c = self.conv(&b, Shape { from: INNER, to: OUTER, kernel: 1, stride: 1 }, false);
        let shortcut = if projected {
            self.conv(x, Shape { from: channels, to: OUTER, kernel: 1, stride }, false)
        } else {
            x.to_owned()
        };
        let n = self.count;
        let sum = self.line(&format!("%sum{n}"), &format!("add({c}, {shortcut})"));
        self.line(&format!("%block{n}"), &format!("relu({sum})"))
    }
}
