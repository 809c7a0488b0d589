"""Every setting of the project, once, with its default; the other configs change a few.

    inv-jax train --config=configs/base.py --config.data.path=CAPTURE --workdir=runs/mine

The defaults are INV on a META (Neural 3D Video) capture at half size. A name in parentheses is
the setting's name in the original INV.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """The default settings."""
    config = ml_collections.ConfigDict()

    config.data = data = ml_collections.ConfigDict()
    data.layout = "n3dv"  # 'n3dv' (META), 'little_falls', 'procedural', 'video' (dataset_type)
    data.path = ""  # the capture's folder, or its pack (datadir); procedural: '' WORKDIR/capture;
    # video: a file, a folder of pictures, or a pattern as FOLDER/frame*cam00.png
    data.factor = 2  # reads frames_{factor}/, or frames/ for 1 (factor); video: divides its size
    data.first_frame = 1  # frames are numbered as on disk (start_frame)
    data.num_frames = 0  # 0: all frames from the first one on
    data.frame_step = 1  # of these frames, trains every nth (pre-training of a static field)
    data.holdout = (0,)  # indices of cameras never trained on; the first is shown (llffhold)
    data.near = 0.5  # where sampling starts, in NDC; day scenes 0.5, night scenes 0.35 (near)
    data.ndc = True  # warp to NDC; False for cameras that do not face one way (not no_ndc)
    data.pixel_center = 0.0  # 0.0 as the original, 0.5 as COLMAP
    data.bd_factor = 0.75  # scales the scene so that the nearest bound is at 1 / bd_factor
    data.masks = ""  # of what moves: '' the capture's mask/dynamic_mask_frame0001cam00.png, ...; or
    # a folder or a pattern, relative to the capture's, as foreground_2/frame{frame:04d}{cam}.png
    data.mask_polarity = "dynamic"  # what non-zero means in masks: 'dynamic', or 'static'

    # The procedural capture: sizes of the images that are trained on, and how many cameras.
    data.procedural = procedural = ml_collections.ConfigDict()
    procedural.height = 1014
    procedural.width = 1352
    procedural.num_cams = 21
    procedural.num_frames = 300

    config.model = model = ml_collections.ConfigDict()
    model.name = "nerf"  # 'nerf'; 'split': a static and a dynamic one, blended; 'image': what one
    # camera sees, flat
    model.width = 256  # hidden features (netwidth)
    model.depth = 8  # layers of the trunk (netdepth); of an image, hidden layers
    model.structure_layers = 3  # the first n layers are stored per frame (mid_freeze_start)
    model.structure_heads = ()  # heads that are structure too: 'density', 'feature', ..., 'rgb'
    model.skip_layer = -1  # skip connection behind this layer; -1: none (no_skip_connect), NeRF: 4
    model.position_octaves = 10  # (multires)
    model.direction_octaves = 4  # (multires_views)
    model.coarse_samples = 64  # (N_samples)
    model.fine_samples = 64  # (N_importance)
    model.precision = "float32"  # of matrix products; 'tf32' (on GPUs), 'bfloat16': faster
    model.density_noise = 1.0  # standard deviation, in training only (raw_noise_std)
    model.background = 0.0  # grey level behind the scene; 1.0 is white (white_bkgd)
    model.blend = "softmax"  # of static and dynamic: 'softmax', as the original, or 'density'

    # The image's own; width, depth, structure_layers, precision are as above.
    model.activation = "relu"  # or 'siren'
    model.w0 = 30.0  # frequency of every layer of a SIREN
    model.encoding = "octaves"  # 'octaves' (model.position_octaves), 'fourier', 'none'
    model.fourier_features = 256  # random frequencies; each is a sine and a cosine
    model.fourier_scale = 10.0  # their standard deviation, in turns across the picture
    model.fourier_seed = 0  # names them; runs that exchange layers want the same

    config.train = train = ml_collections.ConfigDict()
    train.steps = 10_000  # a frame, in Structure Transfer (i_weights)
    train.warmup_steps = 10_000  # a frame, in Warm-Up (i_weights_warmup)
    train.freeze_frame = 120  # first frame with frozen color layers; 0: never (freeze_start_frame)
    train.scratch = False  # every frame starts from random params (is_nerf_baseline)
    train.equal_steps = False  # ... with as many steps as an incremental run had spent by then
    train.init_from = ""  # start from the params of another run's workdir (ft_path)
    train.init_frame = 0  # ... of this frame of it; 0: its newest
    train.init_roles = ("structure", "color")  # ... of these roles; the others start at random;
    # of a static field: 'static_structure', 'static_color'
    train.reset_optimizer = False  # forget Adam's moments at every frame
    train.rows_per_step = 1024  # over all devices (N_rand); 0: all pixels of the training cameras,
    # less a few (1 in 64 at most) that do not divide over the devices well: others in each step
    train.frames_at_once = 1  # of those from scratch, which do not depend on each other; a multiple
    # of the devices, each of which trains its share of them, with all rays of their steps
    train.rows_per_pass = 0  # rays through the network at once on a device; 0: fits the hardware
    train.seed = 0
    train.loss = "mse"  # or 'huber' (use_huber)
    train.learning_rate = 5e-4  # (lrate)
    train.lr_decay_rate = 0.1  # 1.0: constant (use_weight_decay)
    train.lr_decay_steps = 250_000  # (lrate_decay * 1000)
    train.clip_norm = 2.0  # of each network's gradient
    train.update_pull = 0.0  # part of the learning rate by which frozen frames' params are pulled
    # to where they start, each step: fewer of them move, so a frame is cheaper to send, and learns
    # less; 0.02 to begin with
    train.save_every = 5_000  # steps between mid-frame states; 0: none
    train.image_every = 0  # steps between images and params within a frame; 0: none (i_iter_img)
    train.image_steps = ()  # ... at these steps too, as 0,400,1200; 0: before any training
    train.image_cams = ()  # ... from these cameras; none: the one that is shown of every frame
    train.dispatch_seconds = 1.0  # steps are sent to the devices in groups that take so long

    # Split INV (model.name='split'): how the steps of a frame are shared out.
    config.split = split = ml_collections.ConfigDict()
    split.pretraining = False  # the static field alone, on static rays, train.steps in every frame
    # (pretraining_static)
    split.dynamic_first = 0.5  # Warm-Up: part of a frame's steps, at its beginning, on dynamic rays
    split.both_last = 0.25  # ... at its end: steps on all rays train both fields, else the dynamic
    split.static_chance = 0.5  # ... after the beginning: steps on static rays, of the static field
    split.dynamic_later = 0.0  # ... of the steps then left: on dynamic rays, among those on all
    split.dynamic_chance = 0.75  # Structure Transfer: steps on dynamic rays; the others see all
    split.empty_rgb = 0.01  # weight of the dynamic field's colors on static pixels, on all rays
    split.empty_acc = 0.003  # ... and of its opacity

    config.eval = evaluation = ml_collections.ConfigDict()
    evaluation.rows_per_chunk = 0  # rays rendered at once on a device; 0: fits the hardware
    # Names of images from within a frame (train.image_every, train.image_steps).
    evaluation.step_picture = "cam{cam:02d}_frame{frame:04d}_iter{step:06d}_{psnr:.6f}.png"

    # The neural video that is written while the run trains, to WORKDIR/video.inv; `inv-jax encode`
    # writes one of a run that is there.
    config.codec = codec = ml_collections.ConfigDict()
    codec.name = ""  # '': none; 'delta', 'twc' (INV's), 'raw'
    codec.fidelity = 40.0  # delta: PSNR in dB of the decoded picture against the trained one
    codec.key_every = 24  # delta: frames from one key frame to the next
    codec.precision = 16  # twc: bits of a number, 2 to 32
    codec.group = 1  # twc: frames of a group; 0: all, INV takes hundreds
    codec.color_precision = 32  # bits of a shared color param; 32 loses nothing
    codec.from_decoded = False  # each frame is trained from what a receiver has of the one before

    config.render = render = ml_collections.ConfigDict()
    render.fps = 30.0  # 0.0: the video file's own

    return config.lock()
